//! The client's reading of replies, from any server of the family.
//!
//! Replies end in LF, CRLF, NUL or nothing; a list comes with or without the server's key, with text
//! before the count, without an end after its last line; a greeting may come unasked, and the result
//! of a transfer may reach the payer instead of the payee who asked.

use super::list::{AccountList, Completeness, count, parse_list, parse_user};
use super::wording::{is_consent, is_number, is_refusal, is_transfer_result};
use crate::Amount;

/// The most bytes that one reply takes: a list of 100,000 accounts with the longest names.
pub const REPLY_BYTES_MAX: usize = 20 << 20;

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerReply {
    /// Yes, in the server's words.
    Ok(String),
    /// No, in the server's words.
    Failed(String),
    /// The list.
    List(AccountList),
    /// Farewell.
    Bye,
}

/// What is to come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Yes or no: a registration or a payment was sent.
    Verdict,
    /// A list: a log-in or `List` was sent.
    List,
    /// A list, whatever comes before it: `List` was sent to get in step with a server that has not
    /// answered something else.
    ListAtLast,
    /// Farewell.
    Bye,
}

/// What a server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The reply that was expected.
    Reply(ServerReply),
    /// What became of a transfer, told to the payer unasked.
    TransferResult {
        /// Whether the credits have moved.
        settled: bool,
        /// In the server's words.
        line: String,
    },
    /// Anything else.
    Said(String),
}

/// The server sends more than [`REPLY_BYTES_MAX`] bytes that are no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server's reply is longer than {REPLY_BYTES_MAX} bytes")]
pub struct ReplyTooLong;

/// Makes replies out of what a server sends. At most one reply is expected at a time.
///
/// ```
/// use wire::text::reader::{Expected, Heard, ReplyReader, ServerReply};
///
/// let mut reader = ReplyReader::default();
/// reader.expect(Expected::Verdict);
/// let heard = reader.feed(b"100 OK\n")?;
/// assert_eq!(heard, [Heard::Reply(ServerReply::Ok("100 OK".to_owned()))]);
/// # Ok::<(), wire::text::reader::ReplyTooLong>(())
/// ```
#[derive(Debug, Default)]
pub struct ReplyReader {
    expected: Option<Expected>,
    /// A line that has begun.
    partial: Vec<u8>,
    /// The lines of a list that has begun.
    list: Vec<String>,
    list_bytes: usize,
    /// How many lines it will have, once its count is known.
    list_lines: Option<usize>,
}

impl ReplyReader {
    /// A request was sent: this is to come next.
    pub fn expect(&mut self, expected: Expected) {
        self.forget_list();
        self.expected = Some(expected);
    }

    fn forget_list(&mut self) {
        self.expected = None;
        self.list.clear();
        self.list_bytes = 0;
        self.list_lines = None;
    }

    /// Takes what has arrived.
    ///
    /// # Errors
    /// [`ReplyTooLong`]; the connection is of no more use then.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<Vec<Heard>, ReplyTooLong> {
        let mut heard = Vec::new();
        while let Some(end) = memchr::memchr2(b'\n', 0, bytes) {
            self.partial.extend_from_slice(&bytes[..end]);
            bytes = &bytes[end + 1..];
            let line = String::from_utf8_lossy(&self.partial).trim().to_owned();
            self.partial.clear();
            heard.extend(self.take_line(line));
        }
        self.partial.extend_from_slice(bytes);
        if self.partial.len() + self.list_bytes > REPLY_BYTES_MAX {
            return Err(ReplyTooLong);
        }
        Ok(heard)
    }

    /// Whether a quiet time would complete something.
    pub fn awaits_quiet(&self) -> bool {
        !self.partial.is_empty() || !self.list.is_empty()
    }

    /// Nothing has come for the quiet time: a line that has begun is whole, and so is a list without
    /// a count.
    pub fn quiet(&mut self) -> Option<Heard> {
        let line = String::from_utf8_lossy(&self.partial).trim().to_owned();
        if self.list.is_empty() {
            let lists = [Some(Expected::List), Some(Expected::ListAtLast)];
            if lists.contains(&self.expected) && is_number(&line) {
                // The balance, or the first half of it: more must come.
                return None;
            }
            self.partial.clear();
            return self.take_line(line);
        }
        if self.list_lines.is_some_and(|lines| self.list.len() + 1 < lines) {
            return None;
        }
        let mut lines = self.list.clone();
        // Half an account is not the last line of the list.
        lines.extend((parse_user(&line).is_some() || count(&line).is_some()).then_some(line));
        let list = parse_list(&lines, Completeness::CountedOrUncounted)?;
        self.partial.clear();
        Some(self.reply(ServerReply::List(list)))
    }

    /// No more will come, or nobody will wait for it: the expected reply as far as it has come, if
    /// that means anything.
    pub fn give_up(&mut self) -> Option<ServerReply> {
        if let Some(Heard::Reply(reply)) = self.quiet() {
            return Some(reply);
        }
        let expected = self.expected.take()?;
        let lines = std::mem::take(&mut self.list);
        match expected {
            Expected::List | Expected::ListAtLast => {
                parse_list(&lines, Completeness::Any).map(ServerReply::List)
            }
            Expected::Verdict | Expected::Bye => None,
        }
    }

    fn take_line(&mut self, line: String) -> Option<Heard> {
        if line.is_empty() {
            return None;
        }
        match self.expected {
            Some(Expected::List | Expected::ListAtLast)
                if !self.list.is_empty() && !is_transfer_result(&line) =>
            {
                self.take_list_line(line)
            }
            Some(Expected::List | Expected::ListAtLast) if line.parse::<Amount>().is_ok() => {
                self.list.push(line);
                None
            }
            Some(Expected::List | Expected::ListAtLast) if is_number(&line) => {
                let line = format!("{line}, which is no balance that can be");
                Some(self.reply(ServerReply::Failed(line)))
            }
            Some(Expected::Verdict) if is_refusal(&line) => {
                Some(self.reply(ServerReply::Failed(line)))
            }
            Some(Expected::Verdict) if is_consent(&line) => Some(self.reply(ServerReply::Ok(line))),
            _ if is_transfer_result(&line) => Some(Heard::TransferResult {
                settled: !is_refusal(&line) && is_consent(&line),
                line,
            }),
            Some(_) if line.eq_ignore_ascii_case("bye") => Some(self.reply(ServerReply::Bye)),
            Some(Expected::List | Expected::Bye) if is_refusal(&line) => {
                Some(self.reply(ServerReply::Failed(line)))
            }
            _ => Some(Heard::Said(line)),
        }
    }

    /// One more line of a list. It is looked at as a whole once only, when it is complete.
    fn take_list_line(&mut self, line: String) -> Option<Heard> {
        self.list_bytes += line.len() + size_of::<String>();
        if self.list_lines.is_none() && !self.list.last().is_some_and(|line| line.contains('#')) {
            self.list_lines = count(&line).map(|count| self.list.len() + 1 + count);
        }
        self.list.push(line);
        if self.list_lines != Some(self.list.len()) {
            return None;
        }
        let list = parse_list(&self.list, Completeness::Counted)?;
        Some(self.reply(ServerReply::List(list)))
    }

    fn reply(&mut self, reply: ServerReply) -> Heard {
        self.forget_list();
        Heard::Reply(reply)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::list::OnlineUser;

    fn user(name: &str, address: &str) -> OnlineUser {
        OnlineUser {
            name: name.parse().expect("a valid name"),
            address: address.parse().expect("an address"),
        }
    }

    fn list(balance: u64, key: Option<&str>, online: Vec<OnlineUser>) -> Heard {
        Heard::Reply(ServerReply::List(AccountList {
            balance: Amount::new(balance),
            server_key: key.map(str::to_owned),
            online,
        }))
    }

    /// Feeds the segments, with a quiet time where one is empty.
    fn hear(expected: Option<Expected>, segments: &[&str]) -> Vec<Heard> {
        let mut reader = ReplyReader::default();
        if let Some(expected) = expected {
            reader.expect(expected);
        }
        let mut heard = Vec::new();
        for segment in segments {
            if segment.is_empty() {
                heard.extend(reader.quiet());
            } else {
                heard.extend(reader.feed(segment.as_bytes()).expect("short"));
            }
        }
        heard
    }

    #[test]
    fn lists_of_the_family() {
        let both = || vec![user("alice", "127.0.0.1:5001"), user("bob", "10.0.0.2:5002")];
        let (a, b) = ("alice#127.0.0.1#5001", "bob#10.0.0.2#5002");
        for (segments, expected) in [
            (vec![format!("1000\nKEY\n2\n{a}\n{b}\n")], list(1000, Some("KEY"), both())),
            (vec![format!("1000\r\nKEY\r\n2\r\n{a}\r\n{b}\r\n")], list(1000, Some("KEY"), both())),
            (vec![format!("1000\n2\n{a}\n{b}\n")], list(1000, None, both())),
            (
                vec![format!("1000\npublic key\n2\n{a}\n{b}")],
                list(1000, Some("public key"), both()),
            ),
            (
                vec![format!("1000\nKEY\nonline num: 2\n{a}\n{b}\0")],
                list(1000, Some("KEY"), both()),
            ),
            (
                vec![format!("10"), format!("00\nKEY\n2\n{a}\nbo"), "b#10.0.0.2#5002\n".into()],
                list(1000, Some("KEY"), both()),
            ),
            (vec![format!("1000\nKEY7\n0\n")], list(1000, Some("KEY7"), vec![])),
            (vec![format!("1000\n0\n")], list(1000, None, vec![])),
            (vec![format!("1000\n{a}\n{b}\n")], list(1000, None, both())),
            (
                vec![format!("1000\nA\nB\n2\n{a}\nnobody\n")],
                list(1000, Some("A\nB"), vec![user("alice", "127.0.0.1:5001")]),
            ),
        ] {
            let mut segments: Vec<&str> = segments.iter().map(String::as_str).collect();
            segments.push("");
            assert_eq!(hear(Some(Expected::List), &segments), [expected], "{segments:?}");
        }
    }

    #[test]
    fn a_torn_balance_is_not_taken_for_whole() {
        let heard = hear(Some(Expected::List), &["10", "", "00\nKEY\n0\n"]);
        assert_eq!(heard, [list(1000, Some("KEY"), vec![])]);
    }

    /// The first line is the balance or the reply means nothing: the count is no balance.
    #[test]
    fn an_impossible_balance_is_a_failure() {
        for balance in ["-5", "18446744073709551616"] {
            let heard = hear(Some(Expected::List), &[&format!("{balance}\nKEY\n0\n")]);
            let failed = format!("{balance}, which is no balance that can be");
            assert_eq!(heard[0], Heard::Reply(ServerReply::Failed(failed)));
        }
    }

    #[test]
    fn a_torn_list_is_not_taken_for_whole() {
        let torn = ["1000\nKEY\n2\nalice#127.0.0.1#5001\n", "", "bo", ""];
        assert_eq!(hear(Some(Expected::List), &torn), []);
        let mut reader = ReplyReader::default();
        reader.expect(Expected::List);
        for segment in &torn[..1] {
            reader.feed(segment.as_bytes()).expect("short");
        }
        let Some(ServerReply::List(list)) = reader.give_up() else { panic!("as far as it came") };
        assert_eq!(list.online, [user("alice", "127.0.0.1:5001")]);
        assert!(!reader.awaits_quiet(), "nothing is left over");
    }

    #[test]
    fn verdicts_of_the_family() {
        let ok = |line: &str| Heard::Reply(ServerReply::Ok(line.to_owned()));
        let failed = |line: &str| Heard::Reply(ServerReply::Failed(line.to_owned()));
        for (segments, expected) in [
            (vec!["100 OK\n"], vec![ok("100 OK")]),
            (vec!["100 OK\r\n"], vec![ok("100 OK")]),
            (vec!["100 ok\0\0\0\0"], vec![ok("100 ok")]),
            (vec!["100 OK", ""], vec![ok("100 OK")]),
            (vec!["1", "00 OK", "\n"], vec![ok("100 OK")]),
            (vec!["Transfer OK!\n"], vec![ok("Transfer OK!")]),
            (vec!["210 FAIL\n"], vec![failed("210 FAIL")]),
            (vec!["Transfer Fail!\n"], vec![failed("Transfer Fail!")]),
            (vec!["230 Input format error\n"], vec![failed("230 Input format error")]),
            (vec!["Please login first\n"], vec![failed("Please login first")]),
            (vec!["220 AUTH_FAIL\n"], vec![failed("220 AUTH_FAIL")]),
            (
                vec!["Transfer failed due to no permission.\n"],
                vec![failed("Transfer failed due to no permission.")],
            ),
            (
                vec!["Welcome to the bank\n100 OK\n"],
                vec![Heard::Said("Welcome to the bank".to_owned()), ok("100 OK")],
            ),
        ] {
            assert_eq!(hear(Some(Expected::Verdict), &segments), expected, "{segments:?}");
        }
    }

    #[test]
    fn what_nobody_asked_for_is_told_apart() {
        let result = |settled, line: &str| Heard::TransferResult { settled, line: line.to_owned() };
        let empty = list(5, None, vec![]);
        for (expected, segments, heard) in [
            (None, vec!["Transfer OK!\n"], vec![result(true, "Transfer OK!")]),
            (None, vec!["Transfer Fail!\n"], vec![result(false, "Transfer Fail!")]),
            (None, vec!["hello\n"], vec![Heard::Said("hello".to_owned())]),
            (
                Some(Expected::List),
                vec!["Transfer OK!\n5\n0\n"],
                vec![result(true, "Transfer OK!"), empty.clone()],
            ),
            (
                Some(Expected::List),
                vec!["5\nTransfer OK!\n0\n"],
                vec![result(true, "Transfer OK!"), empty],
            ),
            (
                Some(Expected::List),
                vec!["220 AUTH_FAIL\n"],
                vec![Heard::Reply(ServerReply::Failed("220 AUTH_FAIL".to_owned()))],
            ),
            (
                Some(Expected::ListAtLast),
                vec!["220 ERROR\n5\n0\n"],
                vec![Heard::Said("220 ERROR".to_owned()), list(5, None, vec![])],
            ),
            (Some(Expected::Bye), vec!["Bye\n"], vec![Heard::Reply(ServerReply::Bye)]),
            (Some(Expected::Bye), vec!["bye", ""], vec![Heard::Reply(ServerReply::Bye)]),
        ] {
            assert_eq!(hear(expected, &segments), heard, "{expected:?} {segments:?}");
        }
    }

    /// A hostile server must not keep the client busy: each line is looked at once.
    #[test]
    fn a_list_without_a_count_costs_no_more_than_its_lines() {
        let mut reader = ReplyReader::default();
        reader.expect(Expected::List);
        let lines = "x\n".repeat(REPLY_BYTES_MAX / 40);
        assert_eq!(reader.feed(b"1000\n"), Ok(vec![]));
        assert_eq!(reader.feed(lines.as_bytes()), Ok(vec![]));
        assert_eq!(reader.feed(lines.as_bytes()), Err(ReplyTooLong), "lines take memory, too");
    }

    #[test]
    fn a_name_is_no_verdict() {
        for line in ["ok#127.0.0.1#80", "fail#127.0.0.1#80"] {
            let heard = hear(Some(Expected::Verdict), &[&format!("{line}\n")]);
            assert_eq!(heard, [Heard::Said(line.to_owned())]);
        }
    }

    #[test]
    fn an_endless_reply_is_refused() {
        let mut reader = ReplyReader::default();
        reader.expect(Expected::List);
        reader.feed(b"5\n").expect("short");
        let chunk = "k".repeat(1 << 20) + "\n";
        let refused = (0..=REPLY_BYTES_MAX >> 20).any(|_| reader.feed(chunk.as_bytes()).is_err());
        assert!(refused);
    }
}
