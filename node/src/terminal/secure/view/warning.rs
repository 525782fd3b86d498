//! What nobody may overlook, in a frame.

use wire::{PublicKey, Username};

use crate::printable::printable;

/// As wide as the lines below.
const RULE: &str =
    "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@";

/// The payee's key is not the one that is known.
pub(super) fn payee_key_changed(
    payee: &Username,
    known: &PublicKey,
    found: Option<&PublicKey>,
) -> String {
    let payee = printable(payee.as_str());
    let found = found.map_or_else(|| "none at all".to_owned(), ToString::to_string);
    framed(
        &format!("STOP: THE KEY OF {payee} HAS CHANGED"),
        &format!(
            "known from before:  {known}\n\
             said by the server: {found}\n\
             Either {payee} has a new key, or somebody wants to be paid in their place: the\n\
             server, or whoever has broken into it. Nothing was signed, nothing was moved.\n\
             Ask {payee} for the key by another way than this one: by voice, or face to face."
        ),
    )
}

/// Who answers at the payee's address is somebody else.
pub(super) fn peer_key_mismatch(
    payee: &Username,
    expected: &PublicKey,
    found: &PublicKey,
) -> String {
    let payee = printable(payee.as_str());
    framed(
        &format!("WARNING: SOMEBODY ELSE ANSWERS AT THE ADDRESS OF {payee}"),
        &format!(
            "the key of {payee}: {expected}\n\
             the key shown:  {found}\n\
             Somebody may be in between, or another program has taken the address.\n\
             The payment was not handed over there. It goes through the server, to the key of\n\
             {payee}."
        ),
    )
}

/// The server's key is not the one that is known.
pub(super) fn server_key_changed(expected: &PublicKey, found: &PublicKey) -> String {
    framed(
        "STOP: THE KEY OF THE SERVER HAS CHANGED",
        &format!(
            "known from before:  {expected}\n\
             shown now:          {found}\n\
             Somebody may be between you and the server, who would then read what you ask for\n\
             and could refuse your payments; or the server was set up anew, with a new key and\n\
             without the accounts of the old one. Nothing was sent. Ask who runs it for the key."
        ),
    )
}

/// The server's key is not the one that was given when the program was started.
pub(super) fn not_the_given_server_key(given: &PublicKey, found: &PublicKey) -> String {
    framed(
        "STOP: THE SERVER HAS ANOTHER KEY THAN THE ONE THAT YOU GAVE",
        &format!(
            "given by --server-key: {given}\n\
             shown by the server:   {found}\n\
             The key was copied wrongly, this is another server, or somebody is between you and\n\
             the server. Nothing was sent. Ask who runs it for the key."
        ),
    )
}

/// The receipt does not prove what it should.
pub(in crate::terminal::secure) fn receipt_invalid(reason: &str) -> String {
    framed(
        "WARNING: THIS RECEIPT PROVES NOTHING",
        &format!("{reason}\nThe wallet's file is damaged, or the receipt was forged."),
    )
}

fn framed(title: &str, text: &str) -> String {
    format!("{RULE}\n@ {title}\n{RULE}\n{text}")
}
