//! The flags that can also stand in the environment and in the configuration file.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use serde::Deserialize;
use wire::text::Dialect;
use wire::{Amount, PublicKey, Username};

use super::values::{
    HostPort, LogFormat, LogLevel, MetricsAddress, Protocol, QuietTime, Role, SilentTime,
    TextAccess, from_text,
};

/// Everything that can be set, whatever the place it is set in. The configuration file has the same
/// names.
#[derive(Args, Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Flags {
    /// What to be
    #[arg(long, env = "MITE_ROLE", value_enum)]
    pub(crate) role: Option<Role>,

    /// Server, demo: where to take connections; port 0 picks a free one [default: 127.0.0.1:8000,
    /// demo: 127.0.0.1:0]
    #[arg(long, env = "MITE_LISTEN", value_name = "HOST:PORT")]
    #[serde(deserialize_with = "from_text")]
    pub(crate) listen: Option<HostPort>,
    /// Server, demo: tell health and metrics over HTTP, at /health and /metrics, to whoever can connect
    /// there; a port alone is one of 127.0.0.1 [default: nowhere; without an address: 127.0.0.1:9464]
    #[arg(
        long,
        env = "MITE_METRICS",
        value_name = "HOST:PORT",
        num_args = 0..=1,
        default_missing_value = "127.0.0.1:9464"
    )]
    #[serde(deserialize_with = "from_text")]
    pub(crate) metrics: Option<MetricsAddress>,
    /// Server, demo, audit, admin: the directory of the ledger [default: ~/.local/share/mite by the XDG
    /// rules, demo: a temporary one]. Bench: an empty directory, on the disk to measure, for a ledger
    /// that is kept; it must be typed [default: a temporary one]
    #[arg(long, env = "MITE_DATA", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Server, demo: the credits of a new account [default: 1000, with the dialect ta2021 10000]
    #[arg(
        long,
        env = "MITE_OPENING_BALANCE",
        value_name = "CREDITS",
        allow_negative_numbers = true
    )]
    pub(crate) opening_balance: Option<Amount>,
    /// Server, demo: who may speak the text protocol, which proves nobody's identity
    /// [default: loopback]
    #[arg(long, env = "MITE_TEXT", value_enum)]
    pub(crate) text: Option<TextAccess>,
    /// Server, demo: whose words the text protocol has, `seed` or `ta2021` [default: seed]
    #[arg(long, env = "MITE_TEXT_DIALECT", value_name = "DIALECT")]
    #[serde(deserialize_with = "from_text")]
    pub(crate) text_dialect: Option<Dialect>,
    /// Server, demo: how long nothing must come for an unterminated request to be whole
    /// [default: 2ms]
    #[arg(long, env = "MITE_TEXT_QUIET", value_name = "DURATION")]
    #[serde(deserialize_with = "from_text")]
    pub(crate) text_quiet: Option<QuietTime>,
    /// Server, demo: how many connections may be open at once [default: 10000]
    #[arg(long, env = "MITE_MAX_CONNECTIONS", value_name = "COUNT")]
    pub(crate) max_connections: Option<NonZeroUsize>,
    /// Server, demo: how many connections may be half-open at once: begun, and not yet known to be
    /// text or done with their TLS handshake [default: 1024]
    #[arg(long, env = "MITE_HALF_OPEN_MAX", value_name = "COUNT")]
    pub(crate) half_open_max: Option<NonZeroUsize>,
    /// Server, demo: how many of them may come from one address [default: 256]
    #[arg(long, env = "MITE_HALF_OPEN_PER_ADDRESS_MAX", value_name = "COUNT")]
    pub(crate) half_open_per_address_max: Option<NonZeroUsize>,
    /// Server, demo: how many connections may be open from one IPv4 address or IPv6 /64 [default: a
    /// quarter of --max-connections, and as many as it says from this machine]
    #[arg(long, env = "MITE_CONNECTIONS_PER_ADDRESS_MAX", value_name = "COUNT")]
    pub(crate) connections_per_address_max: Option<NonZeroUsize>,
    /// Server, demo: how long a session must have been silent to make room when places run out
    /// [default: 1m]
    #[arg(long, env = "MITE_MAKE_ROOM_AFTER", value_name = "DURATION")]
    #[serde(deserialize_with = "from_text")]
    pub(crate) make_room_after: Option<SilentTime>,
    /// Server, demo: how many secure sessions may be open with one account's key [default: 256]
    #[arg(long, env = "MITE_SESSIONS_PER_ACCOUNT_MAX", value_name = "COUNT")]
    pub(crate) sessions_per_account_max: Option<NonZeroUsize>,
    /// Server, demo: how many calls of a secure session may be without an answer, 1024 at most
    /// [default: 1024]
    #[arg(long, env = "MITE_CALLS_PER_SESSION_MAX", value_name = "COUNT")]
    pub(crate) calls_per_session_max: Option<NonZeroUsize>,
    /// Server, demo: how many bytes one request of the text protocol may have, 278 to 1024
    /// [default: 1024]
    #[arg(long, env = "MITE_LINE_BYTES_MAX", value_name = "BYTES")]
    pub(crate) line_bytes_max: Option<usize>,
    /// Server, demo: how many bytes one request of the secure protocol may have, 36928 to 294976
    /// [default: 294976]
    #[arg(long, env = "MITE_FRAME_BYTES_MAX", value_name = "BYTES")]
    pub(crate) frame_bytes_max: Option<usize>,
    /// Server, demo: how many bytes of a session's requests may be read and not answered, from
    /// --frame-bytes-max to 3145728 [default: 3145728]
    #[arg(long, env = "MITE_INPUT_BYTES_PER_SESSION_MAX", value_name = "BYTES")]
    pub(crate) input_bytes_per_session_max: Option<usize>,
    /// Server, demo: how many bytes of answers may be due to a session, or not taken by its peer, 1183744
    /// to 8552448 [default: 8552448]
    #[arg(long, env = "MITE_OUTPUT_BYTES_PER_SESSION_MAX", value_name = "BYTES")]
    pub(crate) output_bytes_per_session_max: Option<usize>,
    /// Server, demo: how many accounts may be opened from one address in a minute; 0 is no limit
    /// [default: 120, and no limit from this machine]
    #[arg(long, env = "MITE_REGISTRATIONS_PER_MINUTE_MAX", value_name = "COUNT")]
    pub(crate) registrations_per_minute_max: Option<u32>,
    /// Server, demo: how many lists of who is online a session gets in a second; 0 is no limit
    /// [default: 100]
    #[arg(long, env = "MITE_LISTS_PER_SECOND_MAX", value_name = "COUNT")]
    pub(crate) lists_per_second_max: Option<u32>,
    /// Server, demo: how many pages of history a secure session gets in a second; 0 is no limit
    /// [default: 100]
    #[arg(long, env = "MITE_HISTORIES_PER_SECOND_MAX", value_name = "COUNT")]
    pub(crate) histories_per_second_max: Option<u32>,
    /// Server, demo: how many receipts a secure session may ask for in a second, and orders of which it may
    /// ask what became of them, 512 at least; 0 is no limit [default: 1024]
    #[arg(long, env = "MITE_RECEIPTS_PER_SECOND_MAX", value_name = "COUNT")]
    pub(crate) receipts_per_second_max: Option<u32>,
    /// Server, demo, and bench for a server of its own, where it must be typed: on how many threads of
    /// their own the sessions live; with 0 they share that of the ledger [default: 0 on less than 4
    /// cores, else half of the cores, 4 at most]
    #[arg(long, env = "MITE_SESSION_THREADS", value_name = "COUNT")]
    pub(crate) session_threads: Option<u8>,
    /// Server, archive: the directory that old journal files are moved to, which the server reads, too
    /// [default of a server: they stay]
    #[arg(long, env = "MITE_ARCHIVE_TO", value_name = "DIR")]
    pub(crate) archive_to: Option<PathBuf>,
    /// Server, archive: how many of the newest journal files stay in any case [default: 16, a gibibyte]
    #[arg(long, env = "MITE_KEEP_SEGMENTS", value_name = "COUNT")]
    pub(crate) keep_segments: Option<NonZeroUsize>,

    /// Client: where the server is [default: 127.0.0.1:8000]. Bench: a server that runs already, of any
    /// program of the family; it must be typed [default: one of its own]
    #[arg(long, env = "MITE_SERVER", value_name = "HOST:PORT")]
    #[serde(deserialize_with = "from_text")]
    pub(crate) server: Option<HostPort>,
    /// Client: the port on which peers reach it once it is logged in; 0 picks a free one
    /// [default: 7001]
    #[arg(long, env = "MITE_P2P_PORT", value_name = "PORT")]
    pub(crate) p2p_port: Option<u16>,
    /// Client: the name that `register` means when it is given none, and with --protocol text `login`,
    /// too
    #[arg(long, env = "MITE_NAME", value_name = "NAME")]
    pub(crate) name: Option<Username>,
    /// Client, bench: how to speak to the server [default: secure, bench: text]
    #[arg(long, env = "MITE_PROTOCOL", value_enum)]
    pub(crate) protocol: Option<Protocol>,
    /// Client: which of the keys that are kept here to use [default: that of --name, or `default`]
    #[arg(long, env = "MITE_PROFILE", value_name = "NAME")]
    pub(crate) profile: Option<Username>,
    /// Client: the directory of the profiles [default: ~/.config/mite by the XDG rules]
    #[arg(long, env = "MITE_CONFIG_DIR", value_name = "DIR")]
    pub(crate) config_dir: Option<PathBuf>,
    /// Client: a file whose first line is the passphrase of the key; `MITE_PASSPHRASE` may hold it,
    /// too, and at a terminal it is asked for
    #[arg(long, env = "MITE_PASSPHRASE_FILE", value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Client: keep the key unencrypted, protected by nothing but the permissions of its file
    #[arg(long)]
    #[serde(skip)]
    pub(crate) no_passphrase: bool,
    /// Client, audit: the server's key, as it prints it [default of a client: trusted at first
    /// contact, and kept; of the audit of a ledger: the one in its directory]
    #[arg(long, env = "MITE_SERVER_KEY", value_name = "KEY", allow_hyphen_values = true)]
    #[serde(deserialize_with = "from_text")]
    pub(crate) server_key: Option<PublicKey>,
    /// Client: stay off the list, listen to nobody, and be paid through the server
    #[arg(long)]
    #[serde(skip)]
    pub(crate) unlisted: bool,

    /// What to log on the standard error [default: info for a server, warning for the others]
    #[arg(long, env = "MITE_LOG_LEVEL", value_enum)]
    pub(crate) log_level: Option<LogLevel>,
    /// Lines to read, or one JSON object a line [default: term]
    #[arg(long, env = "MITE_LOG_FORMAT", value_enum)]
    pub(crate) log_format: Option<LogFormat>,
}

impl Flags {
    /// These, and from `other` what is not set here.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            role: self.role.or(other.role),
            listen: self.listen.or(other.listen),
            metrics: self.metrics.or(other.metrics),
            data: self.data.or(other.data),
            opening_balance: self.opening_balance.or(other.opening_balance),
            text: self.text.or(other.text),
            text_dialect: self.text_dialect.or(other.text_dialect),
            text_quiet: self.text_quiet.or(other.text_quiet),
            max_connections: self.max_connections.or(other.max_connections),
            half_open_max: self.half_open_max.or(other.half_open_max),
            half_open_per_address_max: self
                .half_open_per_address_max
                .or(other.half_open_per_address_max),
            connections_per_address_max: self
                .connections_per_address_max
                .or(other.connections_per_address_max),
            make_room_after: self.make_room_after.or(other.make_room_after),
            sessions_per_account_max: self
                .sessions_per_account_max
                .or(other.sessions_per_account_max),
            calls_per_session_max: self.calls_per_session_max.or(other.calls_per_session_max),
            line_bytes_max: self.line_bytes_max.or(other.line_bytes_max),
            frame_bytes_max: self.frame_bytes_max.or(other.frame_bytes_max),
            input_bytes_per_session_max: self
                .input_bytes_per_session_max
                .or(other.input_bytes_per_session_max),
            output_bytes_per_session_max: self
                .output_bytes_per_session_max
                .or(other.output_bytes_per_session_max),
            registrations_per_minute_max: self
                .registrations_per_minute_max
                .or(other.registrations_per_minute_max),
            lists_per_second_max: self.lists_per_second_max.or(other.lists_per_second_max),
            histories_per_second_max: self
                .histories_per_second_max
                .or(other.histories_per_second_max),
            receipts_per_second_max: self.receipts_per_second_max.or(other.receipts_per_second_max),
            session_threads: self.session_threads.or(other.session_threads),
            archive_to: self.archive_to.or(other.archive_to),
            keep_segments: self.keep_segments.or(other.keep_segments),
            server: self.server.or(other.server),
            p2p_port: self.p2p_port.or(other.p2p_port),
            name: self.name.or(other.name),
            protocol: self.protocol.or(other.protocol),
            profile: self.profile.or(other.profile),
            config_dir: self.config_dir.or(other.config_dir),
            passphrase_file: self.passphrase_file.or(other.passphrase_file),
            no_passphrase: self.no_passphrase,
            server_key: self.server_key.or(other.server_key),
            unlisted: self.unlisted,
            log_level: self.log_level.or(other.log_level),
            log_format: self.log_format.or(other.log_format),
        }
    }
}
