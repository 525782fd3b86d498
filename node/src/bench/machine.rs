//! What a measurement ran on: without it, a number says nothing.

use std::fs;
use std::thread;

use serde::Serialize;

/// The machine and the program.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    cores: usize,
    cpu: String,
    /// Whether the CPU has the instructions with which batches of signatures are verified fastest.
    avx512_ifma: bool,
    memory_gib: f64,
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
        let mut flags = cpu_info.lines().filter_map(|line| line.strip_prefix("flags"));
        let avx512_ifma = flags
            .next()
            .is_some_and(|flags| flags.split_whitespace().any(|flag| flag == "avx512ifma"));
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").ok();
        let unknown = || "unknown".to_owned();
        Self {
            cores: thread::available_parallelism().map_or(1, Into::into),
            cpu: cpu.map_or_else(unknown, |(_, model)| model.trim().to_owned()),
            avx512_ifma,
            memory_gib: memory_gib(),
            kernel: kernel.map_or_else(unknown, |release| release.trim().to_owned()),
            profile: if cfg!(debug_assertions) { "debug" } else { "release" },
            version: env!("CARGO_PKG_VERSION"),
        }
    }

    /// In one line.
    pub(crate) fn line(&self) -> String {
        let Self { cores, cpu, avx512_ifma, memory_gib, kernel, profile, version } = self;
        let with = if *avx512_ifma { "with" } else { "without" };
        format!(
            "{cores} cores of {cpu}, {with} AVX-512 IFMA, {memory_gib:.1} GiB, Linux {kernel}; \
             mite {version}, {profile} build"
        )
    }
}

/// The memory of the machine in GiB, as `/proc/meminfo` tells it in KiB; 0 if it does not.
fn memory_gib() -> f64 {
    const KIB_PER_GIB: f64 = 1_048_576.0;
    let told = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total =
        told.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next());
    total.and_then(|kib| kib.parse::<f64>().ok()).unwrap_or_default() / KIB_PER_GIB
}
