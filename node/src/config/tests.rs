mod limits;
mod roles;

use std::io::Write as _;
use std::process::Command;
use std::time::Duration;

use actors::limits::{ByteLimits, PerAddress, Rate};
use wire::Amount;
use wire::text::Dialect;

use super::server::{session_threads, session_threads_default};
use super::*;

/// As if typed. The environment of the tests has no `MITE_` variables.
fn settings(args: &[&str]) -> Result<Settings, Error> {
    from_args(["node"].iter().chain(args).map(OsString::from))
}

fn server_config(args: &[&str]) -> ServerConfig {
    match settings(args).expect("valid").config {
        Config::Server(server) => server,
        other => panic!("{other:?}"),
    }
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    file
}

fn refusal(args: &[&str]) -> (u8, String, String) {
    let error = settings(args).expect_err("refused");
    (error.exit_code(), error.to_string(), error.hint().unwrap_or_default())
}

fn often(count: u32, seconds: u64) -> Rate {
    Rate::new(count.try_into().expect("not 0"), Duration::from_secs(seconds))
}

#[test]
fn defaults() {
    let server = server_config(&["--role", "server", "--data", "/d"]);
    let expected = ServerConfig {
        listen: ([127, 0, 0, 1], 8000).into(),
        metrics: None,
        data_dir: "/d".into(),
        opening_balance: Amount::new(1000),
        text: TextAccess::Loopback,
        text_dialect: Dialect::Seed,
        text_quiet: Duration::from_millis(2),
        max_connections: 10_000,
        half_open_max: 1024,
        half_open_per_address_max: 256,
        connections_per_address: None,
        make_room_after: Duration::from_mins(1),
        sessions_per_account_max: 256,
        calls_per_session_max: 1024,
        bytes: ByteLimits::default(),
        registrations: PerAddress { loopback: None, others: Some(often(120, 60)) },
        lists: Some(often(100, 1)),
        histories: Some(often(100, 1)),
        receipts: Some(often(1024, 1)),
        session_threads: session_threads_default(),
        archiving: None,
    };
    assert_eq!(server, expected);
    let dialect = server_config(&["--role", "server", "--data", "/d", "--text-dialect", "ta2021"]);
    assert_eq!(dialect.opening_balance, Amount::new(10_000));

    let client = settings(&["--role", "client", "--config-dir", "/c"]).expect("valid");
    assert_eq!(client.log, LogConfig { level: LogLevel::Warning, format: LogFormat::Term });
    let secure = SecureConfig {
        server_name: "127.0.0.1:8000".parse().expect("an address"),
        profile: "default".parse().expect("a name"),
        config_dir: "/c".into(),
        passphrase_file: None,
        no_passphrase: false,
        server_key: None,
        unlisted: false,
        restore: false,
    };
    let expected = ClientConfig {
        server: ([127, 0, 0, 1], 8000).into(),
        p2p_port: 7001,
        name: None,
        protocol: ClientProtocol::Secure(secure),
    };
    assert_eq!(client.config, Config::Client(expected));

    let Config::Demo(demo) = settings(&["--role", "demo"]).expect("valid").config else {
        panic!("not a demo");
    };
    assert!(demo.temporary_data);
    assert_eq!(demo.server.listen, ([127, 0, 0, 1], 0).into());
}

/// Where few cores are, none is idle.
#[test]
fn sessions_get_threads_of_their_own_where_cores_are() {
    for (cores, expected) in [(1, 0), (2, 0), (3, 0), (4, 2), (6, 3), (8, 4), (64, 4)] {
        assert_eq!(session_threads(cores), expected, "{cores} cores");
    }
}

#[test]
fn every_flag_arrives() {
    let flags = [
        "--role=server",
        "--listen=[::1]:1",
        "--data=/d",
        "--opening-balance=7",
        "--text=any",
        "--text-dialect=ta2021",
        "--text-quiet=0",
        "--max-connections=3",
        "--half-open-max=4",
        "--half-open-per-address-max=5",
        "--connections-per-address-max=2",
        "--make-room-after=7s",
        "--sessions-per-account-max=8",
        "--calls-per-session-max=9",
        "--line-bytes-max=300",
        "--frame-bytes-max=40000",
        "--input-bytes-per-session-max=50000",
        "--output-bytes-per-session-max=2000000",
        "--registrations-per-minute-max=10",
        "--lists-per-second-max=11",
        "--histories-per-second-max=12",
        "--receipts-per-second-max=513",
        "--session-threads=6",
    ];
    let expected = ServerConfig {
        metrics: None,
        listen: "[::1]:1".parse().expect("an address"),
        data_dir: "/d".into(),
        opening_balance: Amount::new(7),
        text: TextAccess::Any,
        text_dialect: Dialect::Ta2021,
        text_quiet: Duration::ZERO,
        max_connections: 3,
        half_open_max: 4,
        half_open_per_address_max: 5,
        connections_per_address: Some(2),
        make_room_after: Duration::from_secs(7),
        sessions_per_account_max: 8,
        calls_per_session_max: 9,
        bytes: ByteLimits { line: 300, frame: 40_000, input: 50_000, output: 2_000_000 },
        registrations: PerAddress { loopback: Some(often(10, 60)), others: Some(often(10, 60)) },
        lists: Some(often(11, 1)),
        histories: Some(often(12, 1)),
        receipts: Some(often(513, 1)),
        session_threads: 6,
        archiving: None,
    };
    assert_eq!(server_config(&flags), expected);

    let flags = [
        "--role=client",
        "--server=localhost:2",
        "--p2p-port=0",
        "--name=alice",
        "--protocol=text",
        "--log-level=trace",
        "--log-format=json",
    ];
    let client = settings(&flags).expect("valid");
    assert_eq!(client.log, LogConfig { level: LogLevel::Trace, format: LogFormat::Json });
    let Config::Client(client) = client.config else { panic!("not a client") };
    assert!(client.server.ip().is_loopback() && client.server.port() == 2, "{client:?}");
    assert_eq!(client.p2p_port, 0);
    assert_eq!(client.name.expect("a name").as_str(), "alice");
    assert_eq!(client.protocol, ClientProtocol::Text);

    let flags = [
        "--role=client",
        "--server=localhost:2",
        "--name=alice",
        "--config-dir=/c",
        "--passphrase-file=/p",
        "--no-passphrase",
        "--server-key=11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        "--unlisted",
    ];
    let Config::Client(client) = settings(&flags).expect("valid").config else {
        panic!("not a client")
    };
    let mut expected = SecureConfig {
        server_name: "localhost:2".parse().expect("an address"),
        profile: "alice".parse().expect("a name"),
        config_dir: "/c".into(),
        passphrase_file: Some("/p".into()),
        no_passphrase: true,
        server_key: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".parse().ok(),
        unlisted: true,
        restore: false,
    };
    assert_eq!(client.protocol, ClientProtocol::Secure(expected.clone()));
    let flags = [&flags[..], &["--profile=bob"]].concat();
    let Config::Client(client) = settings(&flags).expect("valid").config else {
        panic!("not a client")
    };
    expected.profile = "bob".parse().expect("a name");
    assert_eq!(client.protocol, ClientProtocol::Secure(expected));
}

/// One key in 64 begins with the sign that flags begin with.
#[test]
fn a_key_may_begin_with_a_hyphen() {
    let key = "-fsCnjDQvRTM3GBBYy5PbaHDVtdGGD8h1B_zV0R5jhA";
    let flags = ["--role", "client", "--config-dir", "/c", "--server-key", key];
    let Config::Client(client) = settings(&flags).expect("valid").config else {
        panic!("not a client")
    };
    let ClientProtocol::Secure(secure) = client.protocol else { panic!("not secure") };
    assert_eq!(secure.server_key.map(|key| key.to_string()).as_deref(), Some(key));
}

#[test]
fn every_key_of_the_file_arrives() {
    let file = file(
        "role = \"server\"\nlisten = \"127.0.0.1:5\"\ndata = \"/d\"\nopening-balance = 7\n\
         text = \"off\"\ntext-dialect = \"ta2021\"\ntext-quiet = \"5ms\"\nmax-connections = 3\n\
         half-open-max = 4\nhalf-open-per-address-max = 5\nsession-threads = 6\n\
         connections-per-address-max = 2\nmake-room-after = \"7s\"\nsessions-per-account-max = 8\n\
         calls-per-session-max = 9\nline-bytes-max = 300\nframe-bytes-max = 40000\n\
         input-bytes-per-session-max = 50000\noutput-bytes-per-session-max = 2000000\n\
         registrations-per-minute-max = 10\n\
         lists-per-second-max = 11\nhistories-per-second-max = 12\nreceipts-per-second-max = 513\n\
         server = \"127.0.0.1:6\"\np2p-port = 7\nname = \"bob\"\nprotocol = \"text\"\n\
         log-level = \"error\"\nlog-format = \"json\"\n",
    );
    let path = file.path().to_str().expect("text");
    let expected = ServerConfig {
        metrics: None,
        listen: ([127, 0, 0, 1], 5).into(),
        data_dir: "/d".into(),
        opening_balance: Amount::new(7),
        text: TextAccess::Off,
        text_dialect: Dialect::Ta2021,
        text_quiet: Duration::from_millis(5),
        max_connections: 3,
        half_open_max: 4,
        half_open_per_address_max: 5,
        connections_per_address: Some(2),
        make_room_after: Duration::from_secs(7),
        sessions_per_account_max: 8,
        calls_per_session_max: 9,
        bytes: ByteLimits { line: 300, frame: 40_000, input: 50_000, output: 2_000_000 },
        registrations: PerAddress { loopback: Some(often(10, 60)), others: Some(often(10, 60)) },
        lists: Some(often(11, 1)),
        histories: Some(often(12, 1)),
        receipts: Some(often(513, 1)),
        session_threads: 6,
        archiving: None,
    };
    let settings = settings(&["--config", path]).expect("valid");
    assert_eq!(settings.log, LogConfig { level: LogLevel::Error, format: LogFormat::Json });
    assert_eq!(settings.config, Config::Server(expected));
    let Config::Client(client) =
        super::from_args(["node", "--config", path, "--role", "client"].map(OsString::from))
            .expect("the file serves two roles")
            .config
    else {
        panic!("not a client")
    };
    assert_eq!((client.server.port(), client.p2p_port), (6, 7));
}

#[test]
fn mistakes_in_the_file_name_the_key_and_the_line() {
    for (text, said, hint) in [
        ("rol = \"server\"", "line 1: unknown key `rol`", "the keys are `role`, `listen`"),
        ("role = \"server\"\n\nlisten = 5", "line 3: invalid type", "expected a string"),
        ("config = \"x\"", "line 1: unknown key `config`", "the keys are"),
        ("role = \"king\"", "line 1: unknown variant `king`", "expected one of `server`"),
        ("text-quiet = \"2\"", "line 1: a time is a number with a unit", "the keys are"),
        ("opening-balance = -5", "line 1: invalid value: integer `-5`", "expected u64"),
        ("opening-balance = 1.5", "line 1: invalid type: floating point `1.5`", "expected u64"),
        ("name = \"a#b\"", "line 1: a name holds no '#'", "the keys are"),
        ("p2p-port = 70000", "line 1: invalid value: integer `70000`", "expected u16"),
        ("max-connections = 0", "line 1: invalid value: integer `0`", "expected a nonzero"),
        ("role = ", "line 1: ", ""),
    ] {
        let file = file(text);
        let path = file.path().to_str().expect("text");
        let (code, message, found_hint) = refusal(&["--config", path]);
        assert_eq!(code, 3, "{text:?}");
        assert!(message.contains(said) && message.contains(path), "{text:?}: {message}");
        assert!(!message.contains('\n'), "{text:?}: {message}");
        assert!(found_hint.contains(hint), "{text:?}: {found_hint}");
    }
    let (code, message, _) = refusal(&["--config", "/nowhere/mite.toml"]);
    assert_eq!(code, 3);
    assert!(message.contains("/nowhere/mite.toml: no such file"), "{message}");
}

#[test]
fn flags_of_another_role_are_refused() {
    for (args, said) in [
        (["--role", "server", "--p2p-port", "1"], "--p2p-port means nothing to a server"),
        (["--role", "server", "--name", "bob"], "--name means nothing to a server"),
        (["--role", "demo", "--server", "h:1"], "--server means nothing to a demo"),
        (["--role", "client", "--text-quiet", "1ms"], "--text-quiet means nothing to a client"),
        (["--role", "client", "--data", "/d"], "--data means nothing to a client"),
    ] {
        let (code, message, hint) = refusal(&args);
        assert_eq!((code, message.as_str()), (2, said));
        assert!(hint.contains("--role"), "{hint}");
    }
}

#[test]
fn mistakes_on_the_command_line() {
    for args in [
        &[][..],
        &["--role"],
        &["--role", "king"],
        &["--nonsense"],
        &["--role", "server", "--listen", "8000"],
        &["--role", "server", "--opening-balance", "-5"],
        &["--role", "server", "--opening-balance", "+5"],
        &["--role", "server", "--max-connections", "0"],
        &["--role", "server", "--half-open-max", "0"],
        &["--role", "server", "--half-open-per-address-max", "0"],
        &["--role", "server", "--session-threads", "256"],
        &["--role", "server", "--text-quiet", "1h"],
        &["--role", "client", "--name", "a b"],
        &["--role", "client", "--p2p-port", "70000"],
        &["--role", "client", "--server", "127.0.0.1:0"],
        &["--role", "client", "--protocol", "smoke"],
    ] {
        assert_eq!(refusal(args).0, 2, "{args:?}");
    }
    let (_, message, hint) = refusal(&[]);
    assert_eq!(message, "no role is given");
    for role in ["--role server", "--role client", "--role demo"] {
        assert!(hint.contains(role), "{hint}");
    }
    assert_eq!(refusal(&["--help"]).0, 0);
    assert_eq!(refusal(&["--version"]).0, 0);
}

#[test]
fn wrong_values_are_called_wrong() {
    let (_, message, _) = refusal(&["--role", "server", "--opening-balance", "-5"]);
    assert!(message.starts_with("invalid value '-5' for '--opening-balance"), "{message}");
    let (_, message, hint) = refusal(&["--role", "server", "--log-level", "loud"]);
    assert!(message.starts_with("invalid value 'loud' for '--log-level"), "{message}");
    assert!(hint.contains("possible values: trace, debug, info, warning, error"), "{hint}");
}

#[test]
fn a_demo_that_cannot_be_played_is_refused() {
    let (code, message, hint) = refusal(&["--role", "demo", "--opening-balance", "0"]);
    assert_eq!(code, 2, "{message}");
    assert!(message.starts_with("--opening-balance 0"), "{message}");
    assert!(hint.starts_with("leave it out"), "{hint}");
    assert!(settings(&["--role", "demo", "--opening-balance", "1"]).is_ok());
}

#[test]
fn a_warning_may_be_cut_short() {
    let warn = file("role = \"client\"\nlog-level = \"warn\"\n");
    let path = warn.path().to_str().expect("text");
    for args in [
        &["--role", "server", "--data", "/d", "--log-level", "warn"][..],
        &["--role", "server", "--data", "/d", "--log-level", "warning"],
        &["--config", path],
    ] {
        assert_eq!(settings(args).expect("valid").log.level, LogLevel::Warning, "{args:?}");
    }
}

#[test]
fn unknown_hosts_belong_to_what_they_were_for() {
    // RFC 6761: `.invalid` never has an address.
    let (code, message, _) = refusal(&["--role=server", "--data=/d", "--listen=mite.invalid:1"]);
    assert_eq!(code, 4, "{message}");
    let (code, message, _) = refusal(&["--role=client", "--server=mite.invalid:1"]);
    assert_eq!(code, 7, "{message}");
    assert!(message.contains("mite.invalid:1"), "{message}");
}

/// A test cannot change its own environment, so another process of this program reads it: the flag
/// wins over the variable, that over the file, that over the default.
#[test]
fn flag_then_environment_then_file_then_default() {
    const OTHER_PROCESS: &str = "MITE_TEST_PRINTS_ITS_CONFIGURATION";
    if std::env::var_os(OTHER_PROCESS).is_some() {
        println!("{:?}", settings(&["--opening-balance", "1"]).expect("valid"));
        return;
    }
    let this_test = "config::tests::flag_then_environment_then_file_then_default";
    let file = file("opening-balance = 3\nmax-connections = 3\nlog-level = \"error\"\n");
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", this_test, "--nocapture"])
        .env(OTHER_PROCESS, "1")
        .env("MITE_CONFIG", file.path())
        .env("MITE_ROLE", "server")
        .env("MITE_OPENING_BALANCE", "2")
        .env("MITE_MAX_CONNECTIONS", "2")
        .env("MITE_P2P_PORT", "2")
        .env("XDG_DATA_HOME", "/xdg")
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    for part in [
        "opening_balance: Amount(1)", // flag
        "max_connections: 2",         // environment
        "level: Error",               // file
        "text_quiet: 2ms",            // default
        "data_dir: \"/xdg/mite\"",    // default by XDG
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
}
