//! What a measurement ran on: without it, a number says nothing.

use std::fs;
use std::thread;

use serde::Serialize;

/// The machine and the program.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    cores: usize,
    cpu: String,
    kernel: String,
    /// How the program was compiled.
    profile: &'static str,
    version: &'static str,
}

impl Machine {
    /// This one. What the system does not tell is `unknown`.
    pub(crate) fn this() -> Self {
        let cpu_info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu =
            cpu_info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").ok();
        let unknown = || "unknown".to_owned();
        Self {
            cores: thread::available_parallelism().map_or(1, Into::into),
            cpu: cpu.map_or_else(unknown, |(_, model)| model.trim().to_owned()),
            kernel: kernel.map_or_else(unknown, |release| release.trim().to_owned()),
            profile: if cfg!(debug_assertions) { "debug" } else { "release" },
            version: env!("CARGO_PKG_VERSION"),
        }
    }

    /// In one line.
    pub(crate) fn line(&self) -> String {
        let Self { cores, cpu, kernel, profile, version } = self;
        format!("{cores} cores of {cpu}, Linux {kernel}; mite {version}, {profile} build")
    }
}
