//! The roles that are commands: audit, copies, the operator's; and where metrics are told.

use super::*;

#[test]
fn an_audit_knows_what_of() {
    let key = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";
    let server_key = key.parse().expect("a key");
    let audit = |args: &[&str]| {
        let args = [&["--role", "audit"], args].concat();
        match settings(&args).expect("valid").config {
            Config::Audit(audit) => audit,
            other => panic!("{other:?}"),
        }
    };
    for args in [["receipt", "file", "--server-key", key], ["--server-key", key, "receipt", "file"]]
    {
        let expected = AuditConfig::Receipt { file: "file".into(), server_key };
        assert_eq!(audit(&args), expected, "{args:?}");
    }
    let ledger = |server_key, against: &[&str]| AuditConfig::Ledger {
        data_dir: "/d".into(),
        archived: None,
        server_key,
        against: against.iter().map(PathBuf::from).collect(),
    };
    assert_eq!(audit(&["ledger", "--data", "/d"]), ledger(None, &[]));
    assert_eq!(
        audit(&["ledger", "--against", "a", "b", "--data=/d", "--against=c", "--server-key", key]),
        ledger(Some(server_key), &["a", "b", "c"])
    );
    let file = file("role = \"audit\"\ndata = \"/d\"\nopening-balance = 5\n");
    let path = file.path().to_str().expect("text");
    let of_file = settings(&["--config", path, "ledger"]).expect("valid").config;
    assert_eq!(of_file, Config::Audit(ledger(None, &[])));
}

#[test]
fn copies_know_what_and_where_to() {
    let config = |args: &[&str]| settings(args).expect("valid").config;
    let plain = ["--role", "backup", "--data", "/d", "--to", "/t"];
    let expected = BackupConfig {
        data_dir: "/d".into(),
        archived: None,
        to: "/t".into(),
        server_key: None,
        with_key: true,
    };
    assert_eq!(config(&plain), Config::Backup(expected.clone()));
    let more = [&plain[..], &["--without-key", "--archived", "/a"]].concat();
    let expected = BackupConfig { archived: Some("/a".into()), with_key: false, ..expected };
    assert_eq!(config(&more), Config::Backup(expected));

    let archive = ["--role", "archive", "--data", "/d", "--archive-to", "/a"];
    for (more, keep_segments) in [(&[][..], 16), (&["--keep-segments", "3"], 3)] {
        let archiving = ArchivingConfig { to: "/a".into(), keep_segments };
        let expected =
            ArchiveConfig { data_dir: "/d".into(), archiving: archiving.clone(), server_key: None };
        assert_eq!(config(&[&archive, more].concat()), Config::Archive(expected));
        let server = ["--role", "server", "--data", "/d", "--archive-to", "/a"];
        match config(&[&server, more].concat()) {
            Config::Server(server) => assert_eq!(server.archiving, Some(archiving)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_operators_command_is_one_or_a_mistake() {
    let command = |words: &[&str]| {
        let args = [&["--role", "admin", "--data", "/d"], words].concat();
        match settings(&args).expect("valid").config {
            Config::Admin(AdminConfig { command, .. }) => command,
            other => panic!("{other:?}"),
        }
    };
    let account = || "alice".parse().expect("a name");
    let moved = |id: Option<&str>| Movement {
        account: account(),
        amount: Amount::new(5),
        id: id.map(|id| id.parse().expect("an id")),
    };
    for (words, expected) in [
        (&["status"][..], AdminCommand::Status),
        (&["online", "--json"], AdminCommand::Online),
        (&["deposit", "alice", "5"], AdminCommand::Deposit(moved(None))),
        (&["deposit", "alice", "5", "--id", "x"], AdminCommand::Deposit(moved(Some("x")))),
        (&["withdraw", "alice", "5"], AdminCommand::Withdraw(moved(None))),
        (
            &["freeze", "alice", "--reason", "a b"],
            AdminCommand::Freeze { account: account(), reason: "a b".parse().expect("a reason") },
        ),
        (&["unfreeze", "alice"], AdminCommand::Unfreeze { account: account() }),
        (&["drain"], AdminCommand::Drain),
        (&["snapshot"], AdminCommand::Snapshot),
        (&["verify"], AdminCommand::Verify),
        (&["backup", "/b"], AdminCommand::Backup { to: "/b".into() }),
    ] {
        assert_eq!(command(words), expected, "{words:?}");
    }
    for words in [
        &[][..],
        &["stop"],
        &["status", "now"],
        &["backup"],
        &["deposit"],
        &["deposit", "alice"],
        &["deposit", "alice", "0"],
        &["deposit", "alice", "x"],
        &["deposit", "a b", "1"],
        &["deposit", "alice", "5", "--id", "a b"],
        &["deposit", "alice", "5", "--reason", "why"],
        &["freeze"],
        &["freeze", "alice", "--id", "x"],
        &["freeze", "alice", "bob"],
        &["status", "--rounds", "5"],
    ] {
        let (code, ..) = refusal(&[&["--role", "admin", "--data", "/d"], words].concat());
        assert_eq!(code, 2, "{words:?}");
    }
    let (code, message, _) = refusal(&["--role", "server", "--data", "/d", "--id", "x"]);
    assert_eq!((code, message.as_str()), (2, "--id means nothing to a server"));
}

#[test]
fn metrics_are_told_where_the_flag_says() {
    for (args, expected) in [
        (&["--metrics"][..], Some(([127, 0, 0, 1], 9464))),
        (&["--metrics", "9000"], Some(([127, 0, 0, 1], 9000))),
        (&["--metrics", "0.0.0.0:9000"], Some(([0, 0, 0, 0], 9000))),
        (&[], None),
    ] {
        let args = [&["--role", "server", "--data", "/d"], args].concat();
        assert_eq!(server_config(&args).metrics, expected.map(Into::into), "{args:?}");
    }
    assert_eq!(refusal(&["--role", "server", "--data", "/d", "--metrics", "here"]).0, 2);
    assert_eq!(refusal(&["--role", "client", "--metrics"]).0, 2);
}
