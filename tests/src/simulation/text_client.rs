//! A client of the text protocol: the real actors, wired as the program wires them, and the person in front of it.

use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use actix::{
    Actor, ActorContext as _, Addr, AsyncContext as _, Context, Handler, Recipient, ResponseFuture,
};
use actors::messages::{
    Ask, ConnectServer, GoOnline, Leave, Offer, Pay, PaymentReport, ReadAccount, Register,
    ServerEvent, ServerLinkError, ServerReply, WalletError, WalletEvent,
};
use actors::peer_link::{Connect, Dialer, PeerLink, PeerPatience};
use actors::server_link::{ServerLink, ServerPatience};
use actors::wallet::Wallet;
use slog::Logger;
use tokio::time::sleep;
use turmoil::net::TcpListener;
use wire::text::TextRequest;
use wire::text::wording::leaves_open_which;
use wire::{Amount, Username};

use super::network::{Wire, connect};
use super::witness::{LOOK_EVERY, is_over};
use super::world::{PORT, World, p2p_port, server_address};
use crate::random::Random;

/// How long somebody waits before they try again what has failed.
const AGAIN: Duration = Duration::from_secs(1);

/// How long a payment that was handed over may take until the server has it, or never gets it: longer than all that a
/// client waits for one after the other.
const ON_ITS_WAY: Duration = Duration::from_mins(1);

/// Runs until it is crashed.
pub(super) async fn live(world: Rc<World>, who: usize) -> turmoil::Result {
    let life = world.texts.begin_life(who);
    world.note(who, "starts");
    let log = world.log.new(slog::o!("who" => who));
    let connector = Connector { world: Rc::clone(&world), who, log: log.clone() };
    let peers = ToPeers(Rc::clone(&world));
    let dialer = Dialer::new(peers, PeerPatience::default(), &log).start();
    let terminal = Terminal { world: Rc::clone(&world), who }.start();
    let first = loop {
        match connect(&world, server_address()).await {
            Ok(wire) => break wire,
            Err(_) => sleep(AGAIN).await,
        }
    };
    let wallet = Wallet::create(|ctx| {
        let link = connector.link(first, ctx.address().recipient());
        let (connector, dialer) = (connector.start().recipient(), dialer.recipient());
        Wallet::new(link, connector, dialer, terminal.recipient(), &log)
    });
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
    actix::spawn(take_peers(Rc::clone(&world), listener, wallet.clone().recipient(), log));
    let seed = world.seed() ^ (u64::from(life) << 32) ^ ((who as u64) << 48);
    Person { world, who, wallet }.live(Random::new(seed)).await;
    pending::<()>().await;
    Ok(())
}

async fn take_peers(
    world: Rc<World>,
    listener: TcpListener,
    offers: Recipient<Offer>,
    log: Logger,
) {
    while let Ok((stream, peer)) = listener.accept().await {
        if let Ok(wire) = world.wires.wire(stream) {
            let patience = PeerPatience::default();
            PeerLink::incoming(wire, peer, offers.clone(), patience, &log).start();
        }
    }
}

/// Makes a client's connections to the server.
struct Connector {
    world: Rc<World>,
    who: usize,
    log: Logger,
}

impl Connector {
    fn link(&self, wire: Wire, events: Recipient<ServerEvent>) -> Recipient<Ask> {
        let link = ServerLink::new(wire, events, ServerPatience::default(), &self.log).start();
        let (world, who) = (Rc::clone(&self.world), self.who);
        TextWitness { link: link.recipient(), is_over: false, world, who }.start().recipient()
    }
}

impl Actor for Connector {
    type Context = Context<Self>;
}

impl Handler<ConnectServer> for Connector {
    type Result = ResponseFuture<Result<Recipient<Ask>, ServerLinkError>>;

    fn handle(&mut self, asked: ConnectServer, _: &mut Self::Context) -> Self::Result {
        let (world, who, log) = (Rc::clone(&self.world), self.who, self.log.clone());
        Box::pin(async move {
            let wire = connect(&world, server_address()).await;
            let wire = wire.map_err(|error| ServerLinkError::Lost(error.to_string()))?;
            Ok(Self { world, who, log }.link(wire, asked.events))
        })
    }
}

/// Connects to payees.
struct ToPeers(Rc<World>);

impl Connect for ToPeers {
    type Stream = Wire;

    fn connect(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::Stream>> + 'static {
        let world = Rc::clone(&self.0);
        async move { connect(&world, address).await }
    }
}

/// Stands between a wallet and its link to the server, as long as both are there, and hears all answers.
struct TextWitness {
    link: Recipient<Ask>,
    /// One of them was gone when it was looked last.
    is_over: bool,
    world: Rc<World>,
    who: usize,
}

impl Actor for TextWitness {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(LOOK_EVERY, |witness, ctx| {
            if std::mem::replace(&mut witness.is_over, is_over(&witness.link, ctx)) {
                ctx.stop();
            }
        });
    }
}

impl Handler<Ask> for TextWitness {
    type Result = ResponseFuture<Result<ServerReply, ServerLinkError>>;

    fn handle(&mut self, Ask(request): Ask, _: &mut Self::Context) -> Self::Result {
        let (world, who) = (Rc::clone(&self.world), self.who);
        let answer = self.link.send(Ask(request.clone()));
        Box::pin(async move {
            let gone = |_| Err(ServerLinkError::Lost("the link is gone".to_owned()));
            let answer = answer.await.unwrap_or_else(gone);
            if let TextRequest::Pay(payment) = &request {
                world.note(who, &format!("server answers {request}: {answer:?}"));
                match &answer {
                    Ok(ServerReply::Ok(line)) if !leaves_open_which(line) => {
                        world.texts.settled(payment.amount, "the server");
                    }
                    Ok(ServerReply::Failed(line)) if !leaves_open_which(line) => {
                        world.texts.not_settled(payment.amount, &format!("the server: {line}"));
                    }
                    _ => {}
                }
            }
            answer
        })
    }
}

/// Hears the wallet's news, as the program's terminal does.
struct Terminal {
    world: Rc<World>,
    who: usize,
}

impl Actor for Terminal {
    type Context = Context<Self>;
}

impl Handler<WalletEvent> for Terminal {
    type Result = ();

    fn handle(&mut self, event: WalletEvent, _: &mut Self::Context) {
        self.world.note(self.who, &format!("hears {event:?}"));
        if let WalletEvent::Received { payment, .. } = &event {
            self.world.texts.settled(payment.amount, "the payee's client");
        }
    }
}

/// Who pays, looks, leaves and comes back.
struct Person {
    world: Rc<World>,
    who: usize,
    wallet: Addr<Wallet>,
}

impl Person {
    async fn live(&self, mut random: Random) {
        self.come_online().await;
        while !self.world.is_calm() {
            match random.below(12) {
                0..8 => {
                    if let Some(amount) = self.world.texts.begin(self.who, false) {
                        self.pay(amount).await;
                    }
                }
                8 => drop(self.look().await),
                9 => {
                    let left = self.ask(Leave).await;
                    self.note("leaves", &left);
                    sleep(Duration::from_millis(random.below(3000))).await;
                    self.come_online().await;
                }
                _ => {}
            }
            sleep(Duration::from_millis(100 + random.below(6000))).await;
        }
        self.end().await;
    }

    /// Comes online, with an account that may have to be opened first.
    async fn come_online(&self) {
        let name = || self.world.texts.name(self.who);
        loop {
            let opened = self.ask(Register(name())).await;
            self.note("opens an account", &opened);
            let online = self.ask(GoOnline { name: name(), port: p2p_port() }).await;
            self.note("comes online", &online.as_ref().map(|list| list.balance));
            if online.is_ok() {
                return;
            }
            sleep(AGAIN).await;
        }
    }

    async fn pay(&self, amount: Amount) -> bool {
        let payee = self.payee();
        let what = format!("pays {payee} {amount}");
        let report = self.ask(Pay { payee, amount }).await;
        self.world.texts.report(amount, &report);
        self.note(&what, &report);
        if matches!(report, Err(WalletError::NotLoggedIn | WalletError::Server(_))) {
            self.come_online().await;
        }
        matches!(report, Ok(PaymentReport::Paid { .. }))
    }

    fn payee(&self) -> Username {
        self.world.texts.other(self.who)
    }

    /// What there is, and whether the other one is online.
    async fn look(&self) -> Option<(Amount, bool)> {
        let list = self.ask(ReadAccount).await;
        self.note("looks", &list.as_ref().map(|list| list.balance));
        if list.is_err() {
            self.come_online().await;
        }
        let list = list.ok()?;
        let payee = self.payee();
        Some((list.balance, list.online.iter().any(|user| user.name == payee)))
    }

    /// Pays for the last time, which must be possible again whatever has happened, and looks at what has come of all.
    async fn end(&self) {
        loop {
            while !self.look().await.is_some_and(|(_, is_online)| is_online) {
                sleep(AGAIN).await;
            }
            let Some(amount) = self.world.texts.begin(self.who, true) else {
                return self.world.violate(format!("{} cannot pay by text any more", self.who));
            };
            if self.pay(amount).await {
                break;
            }
            sleep(AGAIN).await;
        }
        sleep(ON_ITS_WAY).await;
        self.world.note(self.who, "has nothing open");
        self.world.texts.is_quiet(self.who);
        while !self.world.all_quiet() {
            sleep(AGAIN).await;
        }
        loop {
            if let Some((balance, _)) = self.look().await {
                self.world.note(self.who, &format!("ends with {balance}"));
                return self.world.texts.end(self.who, balance);
            }
            sleep(AGAIN).await;
        }
    }

    /// Asks the wallet, which lives as long as the client.
    async fn ask<M, T>(&self, message: M) -> Result<T, WalletError>
    where
        M: actix::Message<Result = Result<T, WalletError>> + Send + 'static,
        T: Send + 'static,
        Wallet: Handler<M>,
    {
        self.wallet.send(message).await.expect("the wallet lives")
    }

    fn note<T: std::fmt::Debug, E: std::fmt::Debug>(&self, what: &str, result: &Result<T, E>) {
        self.world.note(self.who, &format!("{what}: {result:?}"));
    }
}
