//! Merkle trees over the entries of a batch: RFC 6962, section 2.1, with SHA-256.
//!
//! A leaf is the hash of a zero byte and the entry's bytes, a node that of a one byte and its two
//! children, so that no node passes for a leaf. With a path of hashes anybody can check that an entry is
//! in a batch whose root is known.

use sha2::block_api::compress256;
use sha2::{Digest as _, Sha256};

use crate::batch::{BATCH_ENTRIES_MAX, Hash};

/// The longest path: as many levels as a full batch has.
pub const PATH_HASHES_MAX: usize = BATCH_ENTRIES_MAX.ilog2() as usize;

const LEAF: u8 = 0;
const NODE: u8 = 1;

const BLOCK_BYTES: usize = 64;

/// What SHA-256 puts behind a message at least: a one bit, and the message's length in 8 bytes.
const PADDING_BYTES_MIN: usize = 9;

/// What SHA-256 begins with: the fractions of the square roots of the first primes (FIPS 180-4, 5.3.3).
const SHA256_BEGIN: [u32; 8] = [
    0x6A09_E667,
    0xBB67_AE85,
    0x3C6E_F372,
    0xA54F_F53A,
    0x510E_527F,
    0x9B05_688C,
    0x1F83_D9AB,
    0x5BE0_CD19,
];

/// The hash of a leaf with this content.
pub fn leaf(content: &[u8]) -> Hash {
    if 1 + content.len() + PADDING_BYTES_MIN <= BLOCK_BYTES {
        padded_hash::<1>(LEAF, &[content])
    } else {
        Sha256::new().chain_update([LEAF]).chain_update(content).finalize().into()
    }
}

fn node(left: &Hash, right: &Hash) -> Hash {
    padded_hash::<2>(NODE, &[left, right])
}

/// SHA-256 of a tag and these parts, which with the padding fill so many blocks. A tree is made of little
/// else, and what hashes messages of any length takes half as long again for one or two blocks.
fn padded_hash<const BLOCKS: usize>(tag: u8, parts: &[&[u8]]) -> Hash {
    let mut blocks = [[0; BLOCK_BYTES]; BLOCKS];
    let bytes = blocks.as_flattened_mut();
    bytes[0] = tag;
    let mut len = 1;
    for part in parts {
        bytes[len..len + part.len()].copy_from_slice(part);
        len += part.len();
    }
    bytes[len] = 0x80;
    let (_, bits) = bytes.split_last_chunk_mut().expect("a block is longer than a length");
    *bits = (8 * len as u64).to_be_bytes();
    let mut state = SHA256_BEGIN;
    compress256(&mut state, &blocks);
    let mut hash = [0; 32];
    for (bytes, word) in hash.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    hash
}

/// A whole tree, for its root and the paths in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MerkleTree {
    /// From the leaves to the root. A node without a sibling stands on the next level as it is: that
    /// makes the tree of RFC 6962, whose left subtrees are full.
    levels: Vec<Vec<Hash>>,
}

impl MerkleTree {
    /// The tree over these leaves, in order.
    ///
    /// # Panics
    /// If there are none: a batch has an entry at least.
    pub fn new(leaves: Vec<Hash>) -> Self {
        assert!(!leaves.is_empty(), "a batch has an entry at least");
        let mut levels = vec![leaves];
        while let Some(level) = levels.last()
            && level.len() > 1
        {
            let above = level.chunks(2).map(|pair| match pair {
                [left, right] => node(left, right),
                alone => alone[0],
            });
            let above = above.collect();
            levels.push(above);
        }
        Self { levels }
    }

    /// Its root.
    pub fn root(&self) -> Hash {
        self.levels[self.levels.len() - 1][0]
    }

    /// The path from the leaf with this index to the root: its siblings, from below. `None` if there
    /// is no such leaf.
    pub fn path(&self, index: u32) -> Option<Vec<Hash>> {
        let mut index = usize::try_from(index).ok()?;
        (index < self.levels[0].len()).then(|| {
            let mut path = Vec::with_capacity(self.levels.len() - 1);
            for level in &self.levels[..self.levels.len() - 1] {
                path.extend(level.get(index ^ 1));
                index /= 2;
            }
            path
        })
    }
}

/// The root of the tree over these leaves, in order, where nobody needs the tree. The leaves
/// are lost.
///
/// # Panics
/// If there are none: a batch has an entry at least.
pub fn root_in_place(leaves: &mut [Hash]) -> Hash {
    let mut len = leaves.len();
    while len > 1 {
        for left in (0..len).step_by(2) {
            leaves[left / 2] = match &leaves[left..len.min(left + 2)] {
                [left, right] => node(left, right),
                alone => alone[0],
            };
        }
        len = len.div_ceil(2);
    }
    leaves[0]
}

/// The root of the tree of `leaves` leaves in which `leaf` stands at `index`, by its path. `None` if
/// the path does not fit such a tree.
pub fn root_of(leaf: Hash, mut index: u32, leaves: u32, path: &[Hash]) -> Option<Hash> {
    if index >= leaves {
        return None;
    }
    let mut siblings = path.iter();
    let mut hash = leaf;
    let mut last = leaves - 1;
    while last > 0 {
        if index % 2 == 1 {
            hash = node(siblings.next()?, &hash);
        } else if index < last {
            hash = node(&hash, siblings.next()?);
        }
        index /= 2;
        last /= 2;
    }
    siblings.next().is_none().then_some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(count: u32) -> Vec<Hash> {
        (0..count).map(|index| leaf(&index.to_le_bytes())).collect()
    }

    #[test]
    fn hashes_are_those_of_sha_256() {
        for len in 0..200 {
            let content: Vec<u8> = (0..len).collect();
            let expected = Hash::from(Sha256::digest([&[0][..], &content].concat()));
            assert_eq!(leaf(&content), expected, "{len}");
        }
        let (left, right) = ([0xAB; 32], [0xCD; 32]);
        let expected = Hash::from(Sha256::digest([&[1][..], &left, &right].concat()));
        assert_eq!(node(&left, &right), expected);
    }

    /// The definition of the RFC, word for word.
    fn defined_root(leaves: &[Hash]) -> Hash {
        if let [leaf] = leaves {
            return *leaf;
        }
        let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
        node(&defined_root(left), &defined_root(right))
    }

    #[test]
    fn roots_are_those_of_the_definition_and_every_path_leads_there() {
        for count in 1..=70 {
            let leaves = leaves(count);
            let tree = MerkleTree::new(leaves.clone());
            assert_eq!(tree.root(), defined_root(&leaves), "{count} leaves");
            assert_eq!(root_in_place(&mut leaves.clone()), tree.root(), "{count} leaves");
            for index in 0..count {
                let path = tree.path(index).expect("a leaf");
                assert!(path.len() <= PATH_HASHES_MAX);
                let leaf = leaves[index as usize];
                assert_eq!(
                    root_of(leaf, index, count, &path),
                    Some(tree.root()),
                    "{index}/{count}"
                );
            }
            assert_eq!(tree.path(count), None);
        }
    }

    /// A receipt must not be moved to another place, another batch size, or given another path.
    #[test]
    fn a_path_proves_one_leaf_at_one_place() {
        let count = 13;
        let leaves = leaves(count);
        let tree = MerkleTree::new(leaves.clone());
        for index in 0..count {
            let path = tree.path(index).expect("a leaf");
            let proven =
                |leaf, at, of, path: &[Hash]| root_of(leaf, at, of, path) == Some(tree.root());
            let own = leaves[index as usize];
            for other in (0..count).filter(|other| *other != index) {
                assert!(!proven(own, other, count, &path), "{index} as {other}");
                assert!(!proven(leaves[other as usize], index, count, &path));
            }
            for level in 0..path.len() {
                let mut wrong = path.clone();
                wrong[level][0] ^= 1;
                assert!(!proven(own, index, count, &wrong));
            }
            let longer = [path.as_slice(), &[[0; 32]]].concat();
            assert!(!proven(own, index, count, &longer));
            assert!(!proven(own, index, count, &path[1..]));
        }
        assert_eq!(root_of(leaves[0], 0, 0, &[]), None);
    }
}
