//! Payments that wait for their answers, against a bare echo server.
//!
//! `cargo bench -p tests --bench closed_loop [-- CONNECTIONS]`: so many connections (32) send one
//! payment each and wait for its answer, which comes when the payment is on disk. In the same run, the
//! same load goes to a server that only sends back what it gets. The two take turns, five times each;
//! the medians and their ratio are printed.

use std::io::BufRead as _;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tests::process::Server;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const ROUNDS: usize = 5;
const ROUND_TIME: Duration = Duration::from_secs(2);
const CONNECTIONS: usize = 32;
const ECHO_SERVER: &str = "--echo-server";

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("the system has room for a runtime");
    match args.first().map(String::as_str) {
        Some(ECHO_SERVER) => runtime.block_on(echo_server()),
        Some(count) => runtime.block_on(compare(count.parse().expect("a number of connections"))),
        None => runtime.block_on(compare(CONNECTIONS)),
    }
}

async fn compare(connections: usize) {
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(
        env!("CARGO_BIN_EXE_mite-under-test"),
        data.path(),
        &["--opening-balance", "1000000000000", "--log-level", "warning"],
    );
    let echo = EchoProcess::start();
    let (mut paid, mut echoed) = (Vec::new(), Vec::new());
    open_account(server.address, "payer").await;
    for round in 0..ROUNDS {
        paid.push(pay_round(server.address, connections, round).await);
        echoed.push(echo_round(echo.address, connections).await);
    }
    server.stop();
    let (paid, echoed) = (median(&mut paid), median(&mut echoed));
    println!("connections        {connections}");
    println!("echo server        {echoed:>9.0} a second");
    println!("payments, durable  {paid:>9.0} a second");
    println!("ratio              {:>9.2}", paid / echoed);
}

fn median(rates: &mut [f64]) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

async fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.expect("the server listens");
    stream.set_nodelay(true).expect("a live socket");
    stream
}

async fn open_account(address: SocketAddr, name: &str) {
    let mut stream = connect(address).await;
    ask(&mut stream, format!("REGISTER#{name}\n").as_bytes(), b"100 OK\n").await;
}

async fn ask(stream: &mut TcpStream, request: &[u8], reply: &[u8]) {
    let mut read = [0; 64];
    stream.write_all(request).await.expect("the server reads");
    stream.read_exact(&mut read[..reply.len()]).await.expect("the server answers");
    assert_eq!(&read[..reply.len()], reply);
}

/// Requests a second, over all connections.
async fn pay_round(address: SocketAddr, connections: usize, round: usize) -> f64 {
    let mut payees = Vec::new();
    for payee in 0..connections {
        let name = format!("payee{round}x{payee}");
        open_account(address, &name).await;
        let mut stream = connect(address).await;
        stream.write_all(format!("{name}#7001\n").as_bytes()).await.expect("the server reads");
        let lines = 3 + payee + 1;
        read_lines(&mut stream, lines).await;
        payees.push((stream, format!("payer#1#{name}\n").into_bytes(), b"100 OK\n".to_vec()));
    }
    measure(payees).await
}

async fn echo_round(address: SocketAddr, connections: usize) -> f64 {
    let mut streams = Vec::new();
    for number in 0..connections {
        let request = format!("payer#1#payee0x{number}\n").into_bytes();
        streams.push((connect(address).await, request.clone(), request));
    }
    measure(streams).await
}

async fn read_lines(stream: &mut TcpStream, mut lines: usize) {
    while lines > 0 {
        if stream.read_u8().await.expect("the server sends a list") == b'\n' {
            lines -= 1;
        }
    }
}

async fn measure(streams: Vec<(TcpStream, Vec<u8>, Vec<u8>)>) -> f64 {
    let begin = Instant::now();
    let mut asking = JoinSet::new();
    for (mut stream, request, reply) in streams {
        asking.spawn(async move {
            let mut asked = 0u32;
            while begin.elapsed() < ROUND_TIME {
                ask(&mut stream, &request, &reply).await;
                asked += 1;
            }
            f64::from(asked)
        });
    }
    let asked: f64 = asking.join_all().await.iter().sum();
    asked / begin.elapsed().as_secs_f64()
}

/// The echo server in a process of its own, as the server is.
struct EchoProcess {
    child: Child,
    address: SocketAddr,
}

impl EchoProcess {
    fn start() -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let mut child = Command::new(program)
            .arg(ECHO_SERVER)
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts once more");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        std::io::BufReader::new(stdout).read_line(&mut line).expect("the address");
        let address = line.trim().parse().expect("an address");
        Self { child, address }
    }
}

impl Drop for EchoProcess {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn echo_server() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    println!("{}", listener.local_addr().expect("it is bound"));
    loop {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("a live socket");
        tokio::spawn(async move {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = stream.read(&mut bytes).await {
                if stream.write_all(&bytes[..length]).await.is_err() {
                    break;
                }
            }
        });
    }
}
