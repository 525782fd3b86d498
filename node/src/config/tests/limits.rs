//! Limits of what somebody may have of the server.

use super::*;

/// What is given for an address counts for this machine, too.
#[test]
fn limits_per_address() {
    let server =
        |args: &[&str]| server_config(&[&["--role", "server", "--data", "/d"], args].concat());
    let few = server(&["--max-connections", "10", "--registrations-per-minute-max", "3"]);
    assert_eq!(few.connections_per_address, None);
    let three = Some(often(3, 60));
    assert_eq!(few.registrations, PerAddress { loopback: three, others: three });
    let none = server(&[
        "--connections-per-address-max",
        "7",
        "--registrations-per-minute-max",
        "0",
        "--lists-per-second-max",
        "0",
        "--histories-per-second-max",
        "0",
        "--receipts-per-second-max",
        "0",
    ]);
    assert_eq!(none.connections_per_address, Some(7));
    assert_eq!(none.registrations, PerAddress { loopback: None, others: None });
    assert_eq!((none.lists, none.histories, none.receipts), (None, None, None));
    let (code, message, hint) =
        refusal(&["--role", "server", "--data", "/d", "--calls-per-session-max", "1025"]);
    assert_eq!((code, message.contains("1025"), hint.contains("1024 at most")), (2, true, true));
    let (code, message, hint) =
        refusal(&["--role", "server", "--data", "/d", "--receipts-per-second-max", "511"]);
    assert_eq!((code, message.contains("511"), hint.contains("512 at least")), (2, true, true));
}

/// A limit that keeps honest clients out is a mistake, and no limit at all another one.
#[test]
fn limits_in_bytes_have_a_least_and_a_most() {
    let server = ["--role", "server", "--data", "/d"];
    let given = |flag, bytes: usize| settings(&[&server[..], &[flag, &bytes.to_string()]].concat());
    for (flag, least, most) in [
        ("--line-bytes-max", 278, 1024),
        ("--frame-bytes-max", 36_928, 294_976),
        ("--input-bytes-per-session-max", 294_976, 3_145_728),
        ("--output-bytes-per-session-max", 1_183_744, 8_552_448),
    ] {
        for bytes in [least, most] {
            assert!(given(flag, bytes).is_ok(), "{flag} {bytes}");
        }
        for bytes in [0, least - 1, most + 1] {
            let error = given(flag, bytes).expect_err("refused");
            assert!(error.to_string().contains(&format!("{flag} {bytes}")), "{error}");
            let hint = error.hint().expect("a hint");
            assert_eq!((error.exit_code(), hint), (2, format!("it is {least} to {most}")));
        }
    }
    // What is read and not answered holds one of the longest requests at least.
    let frame = ["--frame-bytes-max", "40000", "--input-bytes-per-session-max"];
    let given = |bytes| settings(&[&server[..], &frame, &[bytes]].concat());
    assert!(given("40000").is_ok() && given("39999").is_err());
}
