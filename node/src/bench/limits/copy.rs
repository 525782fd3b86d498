//! How long bytes take to be copied, within memory and into a socket.

use std::fs;
use std::hint::black_box;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::bench::error::BenchError;
use crate::bench::report::float;

/// Long enough for thousands of copies of a hundred thousand bytes.
const COPY_TIME: Duration = Duration::from_millis(300);
const READ_BYTES: usize = 64 << 10;

/// What a copy of so many bytes takes of the CPU.
#[derive(Clone, Copy, Debug)]
pub(in crate::bench) struct CopyCosts {
    /// Microseconds, from memory to memory.
    pub(in crate::bench) memory: f64,
    /// Microseconds, from memory to a socket whose other end is on this machine.
    pub(in crate::bench) socket: f64,
}

/// Measures both.
pub(super) fn measure(bytes: usize) -> Result<CopyCosts, BenchError> {
    let socket = into_socket(bytes).map_err(BenchError::Connection)?;
    Ok(CopyCosts { memory: in_memory(bytes), socket })
}

fn in_memory(bytes: usize) -> f64 {
    let (from, mut to) = (vec![b'x'; bytes], vec![0; bytes]);
    let begin = Instant::now();
    let mut copies: u64 = 0;
    while begin.elapsed() < COPY_TIME {
        to.copy_from_slice(black_box(&from));
        black_box(&mut to);
        copies += 1;
    }
    begin.elapsed().as_secs_f64() * 1e6 / float(copies)
}

fn into_socket(bytes: usize) -> io::Result<f64> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut stream = TcpStream::connect(listener.local_addr()?)?;
    let (mut other, _) = listener.accept()?;
    let reader = thread::spawn(move || {
        let mut read = vec![0; READ_BYTES];
        while other.read(&mut read).is_ok_and(|length| length > 0) {}
    });
    let from = vec![b'x'; bytes];
    let (begin, before) = (Instant::now(), own_cpu_nanos()?);
    let mut copies: u64 = 0;
    while begin.elapsed() < COPY_TIME {
        stream.write_all(&from)?;
        copies += 1;
    }
    let cpu = own_cpu_nanos()? - before;
    drop(stream);
    // It ends with the stream.
    let _ = reader.join();
    Ok(float(cpu) / 1e3 / float(copies))
}

/// The CPU time of this thread alone.
fn own_cpu_nanos() -> io::Result<u64> {
    let stat = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = stat.split_whitespace().next().and_then(|nanos| nanos.parse().ok());
    nanos.ok_or_else(|| io::ErrorKind::InvalidData.into())
}
