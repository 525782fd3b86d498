//! The files of a client of the secure protocol, and clients that are started on them.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::process::Program;

/// The keys and the wallet of somebody, in a configuration directory of their own.
pub struct Profile {
    config: TempDir,
    name: String,
}

impl Profile {
    /// One that nobody has used yet.
    ///
    /// # Panics
    /// If there is no temporary directory.
    pub fn new(name: &str) -> Self {
        let config = tempfile::tempdir().expect("a temporary directory");
        Self { config, name: name.to_owned() }
    }

    /// The name of the account, and of the profile.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The configuration directory, with nothing but this profile.
    pub fn config(&self) -> &Path {
        self.config.path()
    }

    /// A file of the profile.
    pub fn file(&self, name: &str) -> PathBuf {
        self.config.path().join("profiles").join(&self.name).join(name)
    }

    /// What stands in a file of the profile.
    ///
    /// # Panics
    /// If there is none, or it is no text.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).expect("a file of the profile")
    }

    /// The same files in another place, as on another machine.
    ///
    /// # Panics
    /// If they cannot be copied.
    #[must_use]
    pub fn copy(&self) -> Self {
        let copy = Self::new(&self.name);
        let mut directory = fs::DirBuilder::new();
        directory.recursive(true).mode(0o700).create(copy.file("")).expect("a new directory");
        for file in fs::read_dir(self.file("")).expect("a profile") {
            let file = file.expect("a listed file");
            fs::copy(file.path(), copy.file("").join(file.file_name())).expect("a readable file");
        }
        copy
    }

    /// Starts a client on it with these arguments and those that it needs in any case.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn launch(&self, binary: &str, server: SocketAddr, more_args: &[&str]) -> Program {
        self.launch_with_env(binary, server, more_args, &[])
    }

    /// The same with these variables.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn launch_with_env(
        &self,
        binary: &str,
        server: SocketAddr,
        more_args: &[&str],
        env: &[(&str, &str)],
    ) -> Program {
        let args = self.args(server);
        let args = args.iter().map(String::as_str).chain(more_args.iter().copied());
        Program::start_with_env(binary, args, env)
    }

    /// What a client on it must be told in any case.
    ///
    /// # Panics
    /// If the path of the temporary directory is no text.
    pub fn args(&self, server: SocketAddr) -> Vec<String> {
        let config = self.config.path().to_str().expect("temporary paths are text").to_owned();
        let server = server.to_string();
        ["--role", "client", "--server", &server, "--name", &self.name, "--config-dir", &config]
            .map(str::to_owned)
            .to_vec()
    }
}

/// The words of the key that a client makes at its start.
///
/// # Panics
/// If they are not shown.
#[track_caller]
pub fn words(program: &Program) -> String {
    words_behind(program, "These 24 words restore it")
}

/// The words behind a line on the standard error that holds this.
///
/// # Panics
/// If they are not shown.
#[track_caller]
pub fn words_behind(program: &Program, line: &str) -> String {
    program.error_line_with(line);
    assert_eq!(program.error_line_with(""), "");
    let lines: Vec<_> = (0..4).map(|_| program.error_line_with("").trim().to_owned()).collect();
    let words = lines.join(" ");
    assert_eq!(words.split(' ').count(), 24, "the words of a key");
    words
}
