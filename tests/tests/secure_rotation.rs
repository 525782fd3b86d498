//! The change of an account's key, interrupted wherever it can be, and what it does to payments that are
//! under way.

use tempfile::TempDir;
use tests::payee::{Payee, Step};
use tests::person::Person;
use tests::process::Server;
use tests::profile::Profile;
use tests::relay::{Relay, Stopped};
use tests::secure::key;
use tests::terminal::Terminal;
use wire::secure::{OrderAnswer, OrderProblem};

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");
const CTRL_C: &str = "\u{3}";

fn server() -> (TempDir, Server) {
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(MITE, data.path(), &[]);
    (data, server)
}

/// What of a key change is held up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HeldUpAt {
    Request,
    Answer,
}

/// A key change whose request or whose answer is held up.
struct HeldUp {
    _data: TempDir,
    _server: Server,
    relay: Relay,
    bob: Person,
    /// The key before.
    old: String,
    /// The words of the one behind.
    words: String,
}

impl HeldUp {
    fn begin(at: HeldUpAt) -> Self {
        let (data, server) = server();
        let relay = Relay::to(server.address);
        let mut bob = Person::online(MITE, relay.address, "bob");
        let old = bob.keys().own;
        // The request is one record, and so is the answer.
        relay.hold_after(match at {
            HeldUpAt::Request => 0,
            HeldUpAt::Answer => 1,
        });
        let words = bob.begin_rotation();
        assert_eq!(relay.held_or(|| false), Stopped::Held);
        assert!(bob.profile.file("identity.next").exists(), "the next key is not kept");
        Self { _data: data, _server: server, relay, bob, old, words }
    }
}

/// The story: the power is cut while the change is on its way to the server. The old key counts, and the
/// key whose words were written down waits for the next time.
#[test]
fn after_a_crash_before_the_server_has_heard_of_it_the_old_key_counts() {
    let HeldUp { relay, bob, old, words, _data, _server } = HeldUp::begin(HeldUpAt::Request);
    let profile = bob.kill();
    relay.cut();
    let mut bob = Person::start_on(profile, MITE, relay.address, &[]);
    assert_eq!(bob.keys().own, old);
    assert_eq!(bob.balance(), 1000);
    let (again, new) = bob.rotate_key();
    assert_eq!(again, words, "the words that were written down");
    assert_ne!(new, old);
    assert_eq!(bob.keys().own, new);
    assert_eq!(bob.balance(), 1000);
    expect_settled(&bob.profile, &new);
}

/// The story: the power is cut when the server has made the change and the client has not heard of it. The
/// next start finds the new key, which is not lost.
#[test]
fn after_a_crash_behind_the_servers_back_the_new_key_counts() {
    let HeldUp { relay, bob, old, _data, _server, .. } = HeldUp::begin(HeldUpAt::Answer);
    let profile = bob.kill();
    relay.cut();
    assert_eq!(key_in(&profile, "identity.key"), old);
    let new = key_in(&profile, "identity.next");
    let mut bob = Person::start_on(profile, MITE, relay.address, &[]);
    assert_eq!(bob.keys().own, new);
    assert_eq!(bob.history()[0], format!("key changed to {new}"));
    expect_settled(&bob.profile, &new);
    let mut bob = bob.restart();
    assert_eq!(bob.log_in().1.balance, 1000);
}

/// The story: the connection breaks behind the change. The client does not guess, it finds out at once.
#[test]
fn a_lost_answer_is_found_out() {
    for at in [HeldUpAt::Request, HeldUpAt::Answer] {
        let HeldUp { relay, mut bob, _data, _server, .. } = HeldUp::begin(at);
        relay.cut();
        let changed = match at {
            // Nothing was done. The client cannot know that and does not claim it.
            HeldUpAt::Request => {
                let error = bob.program.error_line_with("error: ");
                assert!(error.contains("whether the key is changed is not known yet"), "{error}");
                bob.rotate_key().1
            }
            HeldUpAt::Answer => {
                let said = bob.program.line_with("your key is now ");
                said.trim_start_matches("your key is now ").to_owned()
            }
        };
        assert_eq!(bob.keys().own, changed);
        assert_eq!(bob.history().len(), 2, "it was changed once");
        expect_settled(&bob.profile, &changed);
    }
}

/// There is one key, and it is this one.
fn expect_settled(profile: &Profile, key: &str) {
    assert_eq!(key_in(profile, "identity.key"), key);
    assert!(!profile.file("identity.next").exists(), "the next key is still to come");
}

fn key_in(profile: &Profile, file: &str) -> String {
    let file = profile.read(file);
    let public = file.lines().find_map(|line| line.strip_prefix("public "));
    public.expect("its public half").to_owned()
}

/// Protects against paying twice: what the old key has signed and nobody has submitted is refused for good,
/// the payer is told which payments that were, and pays them anew if they say so.
#[test]
fn payments_under_way_end_with_the_old_key_and_are_made_anew() {
    let (home, server) = server();
    let mut carol = Payee::online(server.address, &key(3), "carol");
    let profile = Profile::new("alice");
    let mut args = profile.args(server.address);
    args.extend(["--no-passphrase", "--log-level", "error"].map(str::to_owned));
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let mut alice = Terminal::start(MITE, home.path(), &args);
    alice.type_at("mite>", "register");
    alice.type_at("alice>", "login alice 0");
    alice.type_at("alice>", "pay carol 10 for the tea");
    alice.type_at("pay 10 to carol? [y/N]", "y");
    let silent = carol.reach(Step::Offered);
    let old = silent.order.expect("it is offered");

    // Carol is silent, alice has other things to do.
    alice.press(CTRL_C);
    alice.expect_text("error: stopped waiting for the answer");
    alice.type_at("alice>", "rotate-key");
    alice.type_at("make a new key? [y/N]", "y");
    alice.type_at("have you written the 24 words down? [y/N]", "y");
    alice.expect_text("These payments were signed by the old key and are refused for good:");
    alice.expect_text("  pay carol 10 for the tea");
    let id = old.order.id.to_string();
    alice.expect_text(&format!("  {}…  10  to carol  refused for good: ", &id[..16]));
    alice.type_at("make them anew now, one by one? [y/N]", "y");
    alice.type_at("pay 10 to carol? [y/N]", "y");
    let hanging_up = carol.reach(Step::Offered);
    let new = hanging_up.order.expect("it is offered");
    assert_ne!(new.order.id, old.order.id);
    assert_ne!(new.order.payer_key, old.order.payer_key);
    drop(hanging_up.link);
    alice.expect_text("paid 10 to carol; receipt ");

    // Carol cannot have both.
    let answer = carol.submit(&old);
    assert_eq!(answer, OrderAnswer::NotTaken(OrderProblem::PayerKeyMismatch));
    alice.type_at("alice>", "balance");
    alice.expect_text("balance: 990");
    alice.type_at("alice>", "exit");
    assert_eq!(alice.wait().code(), Some(0));
}
