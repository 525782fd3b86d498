//! What whoever connects sends before it has shown who it is.

use std::mem::discriminant;
use std::sync::LazyLock;

use node::tls::server::{AcceptError, Acceptor};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::runtime::{Builder, Runtime};

use super::cuts::segments;
use crate::secure::key;

static ACCEPTOR: LazyLock<Acceptor> = LazyLock::new(|| Acceptor::new(&key(9)));

thread_local! {
    static RUNTIME: Runtime =
        Builder::new_current_thread().enable_time().build().expect("a runtime takes no file");
}

/// The first byte says how the rest is cut.
pub(super) fn run(input: &[u8]) {
    let [seed, bytes @ ..] = input else { return };
    let whole = accept(&[bytes]);
    let cut = accept(&segments(bytes, *seed));
    assert_eq!(discriminant(&whole), discriminant(&cut), "{whole} but {cut}");
    if let (AcceptError::Refused(whole), AcceptError::Refused(cut)) = (whole, cut) {
        assert_eq!(whole, cut);
    }
}

/// Why nobody is let in who sends this: without the server's answer, nobody can know what to say next.
fn accept(segments: &[&[u8]]) -> AcceptError {
    let served = async {
        let (mut near, far) = duplex(1 << 10);
        let (mut hears, mut says) = tokio::io::split(&mut near);
        let mut answer = Vec::new();
        let peer = async {
            for segment in segments {
                // The server may have hung up.
                if says.write_all(segment).await.is_err() {
                    break;
                }
            }
            let _ = says.shutdown().await;
        };
        let listens = hears.read_to_end(&mut answer);
        let (accepted, (), _) = tokio::join!(ACCEPTOR.accept(far), peer, listens);
        accepted.expect_err("nobody has shown a key, or answered the server")
    };
    RUNTIME.with(|runtime| runtime.block_on(served))
}
