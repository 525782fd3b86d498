//! What a process takes of the machine, as `/proc` tells it (proc(5)).

use std::fs;
use std::io;
use std::time::Duration;

use super::error::BenchError;

/// Fields of `/proc/PID/stat` behind the name of the program, from 0, that hold CPU time.
const USER_TIME: usize = 11;
const SYSTEM_TIME: usize = 12;

/// The CPU time that a process has taken so far, of all its threads, to the hundredth of a second.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration, BenchError> {
    let stat = read(pid, "stat")?;
    // The name stands in brackets and may hold brackets and spaces.
    let fields: Vec<&str> =
        stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |field: usize| fields.get(field).and_then(|ticks| ticks.parse::<u64>().ok());
    let (user, system) = ticks(USER_TIME).zip(ticks(SYSTEM_TIME)).ok_or_else(|| unknown(pid))?;
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Ok(Duration::from_nanos((user + system) * (1_000_000_000 / per_second)))
}

/// How much memory a process has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// Bytes that are resident now.
    pub(crate) resident: u64,
    /// The most bytes that ever were.
    pub(crate) peak: u64,
}

/// The memory of a process, to the KiB.
pub(crate) fn memory(pid: u32) -> Result<Memory, BenchError> {
    let status = read(pid, "status")?;
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kibibytes * 1024)
    };
    let (resident, peak) = bytes("VmRSS").zip(bytes("VmHWM")).ok_or_else(|| unknown(pid))?;
    Ok(Memory { resident, peak })
}

fn read(pid: u32, file: &str) -> Result<String, BenchError> {
    fs::read_to_string(format!("/proc/{pid}/{file}"))
        .map_err(|source| BenchError::ProcessStats { pid, source })
}

fn unknown(pid: u32) -> BenchError {
    BenchError::ProcessStats { pid, source: io::ErrorKind::InvalidData.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_takes_something() {
        let pid = std::process::id();
        let before = cpu_time(pid).expect("this process is there");
        while cpu_time(pid).expect("this process is there") == before {
            std::hint::black_box((0..10_000).sum::<u64>());
        }
        let memory = memory(pid).expect("this process is there");
        assert!(memory.resident > 100_000 && memory.peak >= memory.resident / 2, "{memory:?}");
    }
}
