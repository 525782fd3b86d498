//! The certificate that stock TLS clients are shown, since they know no raw public keys.

use ed25519_zebra::SigningKey;
use rcgen::{CertificateParams, DnType, PKCS_ED25519, PublicKeyData, SignatureAlgorithm};
use rustls::pki_types::CertificateDer;
use wire::PublicKey;

use super::keys::public_key;

/// Where text is spoken unless the operator says otherwise. Whoever connects by another name has to
/// compare the certificate itself.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

const COMMON_NAME: &str = "Mite server";

/// A self-signed certificate of this key. The same one at each start, so a client can pin it.
pub(super) fn self_signed(key: &SigningKey) -> CertificateDer<'static> {
    let mut params =
        CertificateParams::new(NAMES.map(str::to_owned)).expect("the names are names of hosts");
    params.distinguished_name.push(DnType::CommonName, COMMON_NAME);
    let signer = Signer { key, public: public_key(key) };
    params.self_signed(&signer).expect("the key signs whatever it is given").into()
}

/// Lends the key to the maker of certificates, which would keep a copy of it otherwise.
struct Signer<'a> {
    key: &'a SigningKey,
    public: PublicKey,
}

impl PublicKeyData for Signer<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.public.as_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}

impl rcgen::SigningKey for Signer<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(self.key.sign(message).to_bytes().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_same_at_each_start() {
        let [one, other] = [[1; 32], [2; 32]].map(|seed| SigningKey::from_bytes(&seed));
        assert_eq!(self_signed(&one), self_signed(&one));
        assert_ne!(self_signed(&one), self_signed(&other));
    }
}
