//! Several people, an operator and a server: whatever they do, the server answers as a simple model of the
//! money does, and so does what it has written.
//!
//! What is asked at once is of one kind: payments by signature go another way through the server than
//! questions, and which of them is done first is not promised.

use std::collections::BTreeMap;

use actix::System;
use actors::ledger::state::{Operated, OperatorCommand, Outcome};
use arbitrary::Unstructured;
use wire::key_change::KEY_CHANGE_VERSION;
use wire::secure::{Answer, Call, OrderAnswer, OrderProblem, OrderRef, Problem};
use wire::text::TextPayment;
use wire::{Amount, KeyChange, P2pPort, Refusal};

use self::checks::{check_answer, check_line, check_receipt, check_state, take_events};
use self::connection::{Secure, Text};
use self::model::{Fate, KeyNumber, Model};
use self::steps::{BEGAN, Key, Line, Name, Offer, Question, Step, public};
use self::world::{World, server_key};
use crate::secure::key;

mod archive;
mod checks;
mod connection;
mod model;
mod steps;
mod world;

/// The most steps of one play.
const STEPS_MAX: usize = 32;

thread_local! {
    static SYSTEM: actix::SystemRunner = System::new();
}

/// The input is what people do, one after the other.
pub(super) fn run(input: &[u8]) {
    let mut input = Unstructured::new(input);
    let mut steps = Vec::new();
    while steps.len() < STEPS_MAX && !input.is_empty() {
        let Ok(step) = input.arbitrary() else { break };
        steps.push(step);
    }
    SYSTEM.with(|system| system.block_on(play(&steps)));
}

async fn play(steps: &[Step]) {
    World::set_clock(BEGAN);
    let mut play =
        Play { world: World::new(), model: Model::new(BEGAN), people: BTreeMap::new(), text: None };
    for step in steps {
        play.step(step).await;
        play.check_events();
    }
    play.restart().await;
}

struct Play {
    world: World,
    model: Model,
    /// Who is connected, by their keys.
    people: BTreeMap<KeyNumber, Person>,
    text: Option<TextPerson>,
}

/// A connection with a key, and what the server knows of it.
struct Person {
    connection: Secure,
    /// The name of its account.
    account: Option<String>,
    logged_in: bool,
}

struct TextPerson {
    connection: Text,
    name: Option<String>,
}

impl Play {
    async fn step(&mut self, step: &Step) {
        match step {
            Step::Register { key, name } => self.register(key.number(), *name).await,
            Step::LogIn { key, listed } => self.log_in(key.number(), *listed).await,
            Step::Ask { key, cut, questions } => {
                self.ask(key.number(), *cut, questions.take()).await;
            }
            Step::Submit { key, cut, orders } => {
                self.submit(key.number(), *cut, orders.take()).await;
            }
            Step::ChangeKey { key, new, signed } => {
                self.change_key(key.number(), *new, *signed).await;
            }
            Step::LogOut { key } => self.log_out(key.number()).await,
            Step::HangUp { key } => drop(self.people.remove(&key.number())),
            Step::Nonsense { key } => self.nonsense(key.number()).await,
            Step::Text { cut, lines } => self.text(*cut, lines.take()).await,
            Step::TextHangsUp => self.text = None,
            Step::Deposit { name, amount, id, withdrawn } => {
                self.deposit(*name, *amount, *id, *withdrawn).await;
            }
            Step::Freeze { name, frozen } => self.freeze(*name, *frozen).await,
            Step::Later { seconds } => {
                self.model.now += u64::from(*seconds) * 1000;
                World::set_clock(self.model.now);
            }
            Step::Restart => self.restart().await,
        }
    }

    /// Whoever holds this key, connected; `None` if the server does not take them.
    async fn person(&mut self, key: KeyNumber) -> Option<&mut Person> {
        if !self.people.contains_key(&key) {
            let (connection, welcome) = Secure::greet(self.world.connect(key)).await;
            let holder = self.model.holder(key);
            let account = match (welcome, holder) {
                (Err(Problem::KeyRetired), Some((_, false))) => return None,
                (Ok(welcome), None) => {
                    assert_eq!(welcome.account, None);
                    None
                }
                (Ok(welcome), Some((name, true))) => {
                    let own = welcome.account.expect("the key has an account");
                    assert_eq!(own.name.as_str(), name);
                    assert_eq!(own.balance.credits(), self.model.accounts[name].balance);
                    Some(name.to_owned())
                }
                (welcome, holder) => panic!("{welcome:?} for {holder:?}"),
            };
            self.people.insert(key, Person { connection, account, logged_in: false });
        }
        self.people.get_mut(&key)
    }

    /// Asks one thing alone. `None` if nobody is there to ask it.
    async fn ask_one(&mut self, key: KeyNumber, call: Call) -> Option<Result<Answer, Problem>> {
        self.person(key).await?.connection.ask(vec![call], 3).await.remove(&0)
    }

    async fn register(&mut self, key: KeyNumber, name: Name) {
        let Some(answer) = self.ask_one(key, Call::Register { name: name.parsed() }).await else {
            return;
        };
        let person = self.people.get_mut(&key).expect("it has asked");
        let expected = match &person.account {
            Some(_) => Err(Problem::AlreadyRegistered),
            None => self.model.open(name.text(), Some(key)).map_err(|refusal| match refusal {
                Refusal::KeyInUse => Problem::AlreadyRegistered,
                refusal => Problem::Refused(refusal),
            }),
        };
        person.account = self.model.holder(key).map(|(name, _)| name.to_owned());
        match answer {
            Ok(Answer::Registered(own)) => {
                assert_eq!(expected, Ok(()));
                let account = &self.model.accounts[name.text()];
                assert_eq!((own.account.get(), own.name), (account.number, name.parsed()));
            }
            Err(problem) => assert_eq!(expected, Err(problem)),
            Ok(other) => panic!("{other:?}"),
        }
    }

    async fn log_in(&mut self, key: KeyNumber, listed: bool) {
        let port = listed.then(|| P2pPort::try_from(7000 + u16::from(key)).expect("a port"));
        let Some(answer) = self.ask_one(key, Call::LogIn { port }).await else { return };
        let person = self.people.get_mut(&key).expect("it has asked");
        match (answer, self.model.holder(key)) {
            (Ok(Answer::LoggedIn(own)), Some((name, true))) => {
                assert_eq!(own.name.as_str(), name);
                person.account = Some(name.to_owned());
                person.logged_in = true;
            }
            (Err(Problem::NoAccount), None) => {}
            (answer, holder) => panic!("{answer:?} for {holder:?}"),
        }
    }

    async fn ask(&mut self, key: KeyNumber, cut: u8, questions: &[Question]) {
        let Some(person) = self.person(key).await else { return };
        let calls = questions.iter().map(call).collect();
        let answers = person.connection.ask(calls, cut).await;
        let (account, logged_in) = (person.account.clone(), person.logged_in);
        let model = &mut self.model;
        for ((_, answer), question) in answers.into_iter().zip(questions) {
            match &account {
                None => assert_eq!(answer, Err(Problem::NoAccount)),
                Some(own) => check_answer(model, own, logged_in, question, answer),
            }
        }
    }

    async fn submit(&mut self, key: KeyNumber, cut: u8, offers: &[Offer]) {
        let orders: Vec<_> = offers.iter().map(|offer| offer.sign(server_key())).collect();
        let call = Call::SubmitOrders { orders: orders.clone() };
        let Some(person) = self.person(key).await else { return };
        let mut answers = person.connection.ask(vec![call], cut).await;
        let answer = answers.remove(&0).expect("it was waited for");
        let Some(own) = &person.account.clone() else {
            return assert_eq!(answer, Err(Problem::NoAccount));
        };
        let Ok(Answer::Orders(answers)) = answer else { panic!("{answer:?}") };
        assert_eq!(answers.len(), orders.len());
        // The ledger decides all of them before anybody looks for what was decided before.
        let fates = orders.iter().zip(offers).map(|(signed, offer)| {
            if offer.forged {
                return Fate::NotTaken(OrderProblem::InvalidSignature);
            }
            self.model.order(own, &signed.order, offer.signer.number())
        });
        for ((answer, fate), signed) in answers.into_iter().zip(fates).zip(&orders) {
            match (answer, fate) {
                (OrderAnswer::Decided { replayed, receipt }, fate) => {
                    let outcome = check_receipt(&receipt, Some(signed));
                    assert_eq!(Fate::Decided { replayed, outcome }, fate);
                }
                (OrderAnswer::NotTaken(problem), fate) => {
                    assert_eq!(Fate::NotTaken(problem), fate);
                }
            }
        }
    }

    async fn change_key(&mut self, key_number: KeyNumber, new: Key, signed: bool) {
        let Some(person) = self.person(key_number).await else { return };
        let account = person.account.clone();
        let new = new.number();
        let change = KeyChange {
            version: KEY_CHANGE_VERSION,
            server: server_key(),
            account: account.as_deref().unwrap_or("nobody").parse().expect("a name"),
            old: public(key_number),
            new: public(new),
        };
        let by_new = if signed { key(new) } else { key(77) };
        let change = change.sign(&key(key_number), &by_new);
        let mut answers = person.connection.ask(vec![Call::ChangeKey { change }], 3).await;
        let answer = answers.remove(&0).expect("it is answered");
        let expected = match account {
            None => Err(Problem::NoAccount),
            Some(_) if new == key_number => Err(Problem::KeyChangeMismatch),
            Some(_) if !signed => Err(Problem::InvalidSignature),
            Some(name) => self.model.rotate(&name, new).map_err(Problem::Refused),
        };
        let ends = matches!(expected, Ok(()) | Err(Problem::InvalidSignature));
        match answer {
            Ok(Answer::KeyChanged(receipt)) => {
                receipt.verify(&server_key()).expect("a good receipt");
                assert_eq!(expected, Ok(()));
            }
            Err(problem) => assert_eq!(expected, Err(problem)),
            Ok(other) => panic!("{other:?}"),
        }
        if ends {
            self.end(key_number).await;
        }
    }

    async fn log_out(&mut self, key: KeyNumber) {
        if let Some(answer) = self.ask_one(key, Call::LogOut).await {
            assert_eq!(answer, Ok(Answer::LoggedOut));
            self.end(key).await;
        }
    }

    async fn nonsense(&mut self, key: KeyNumber) {
        let Some(person) = self.person(key).await else { return };
        assert_eq!(person.connection.violate().await, Some(Problem::Malformed));
        self.end(key).await;
    }

    /// The server has said its last word to this person.
    async fn end(&mut self, key: KeyNumber) {
        let mut person = self.people.remove(&key).expect("it was there");
        person.connection.ended().await;
        take_events(&mut self.model, person.account.as_ref(), person.connection.events);
    }

    async fn text(&mut self, cut: u8, lines: &[Line]) {
        if self.text.is_none() {
            let connection = Text::new(self.world.connect_text());
            self.text = Some(TextPerson { connection, name: None });
        }
        let person = self.text.as_mut().expect("it is connected");
        let bytes: String = lines.iter().map(|line| line.text() + "\n").collect();
        person.connection.send(bytes.as_bytes(), cut).await;
        for line in lines {
            if !check_line(&mut self.model, person, line).await {
                self.text = None;
                return;
            }
        }
    }

    async fn deposit(&mut self, name: Name, amount: u8, id: u8, withdrawn: bool) {
        let account = name.parsed();
        let (credits, text) = (Amount::new(amount.into()), format!("id-{id}"));
        let operator_id = text.parse().expect("an id");
        let command = if withdrawn {
            OperatorCommand::Withdraw { account, amount: credits, id: operator_id }
        } else {
            OperatorCommand::Deposit { account, amount: credits, id: operator_id }
        };
        let moved = self.model.deposit(name.text(), amount.into(), id, withdrawn);
        self.check_operated(self.world.operate(command).await, name, moved);
    }

    async fn freeze(&mut self, name: Name, frozen: bool) {
        let account = name.parsed();
        let command = if frozen {
            let reason = "a reason".parse().expect("a reason");
            OperatorCommand::Freeze { account, reason }
        } else {
            OperatorCommand::Unfreeze { account }
        };
        let changed = self.model.freeze(name.text(), frozen);
        self.check_operated(self.world.operate(command).await, name, changed);
    }

    /// `changed` says whether the model has changed.
    fn check_operated(&self, outcome: Outcome, name: Name, changed: bool) {
        let account = self.model.accounts.get(name.text());
        match outcome {
            Outcome::Operated(Ok(Operated { repeated, balance, .. })) => {
                assert_eq!(repeated, !changed);
                assert_eq!(account.map(|account| account.balance), Some(balance.credits()));
            }
            Outcome::Operated(Err(_)) => assert!(!changed),
            other => panic!("{other:?}"),
        }
    }

    /// Nobody is told what has not happened, or twice.
    fn check_events(&mut self) {
        for person in self.people.values_mut() {
            let events = std::mem::take(&mut person.connection.events);
            take_events(&mut self.model, person.account.as_ref(), events);
        }
    }

    async fn restart(&mut self) {
        let people = std::mem::take(&mut self.people);
        drop((people, self.text.take()));
        let state = self.world.restart().await;
        check_state(&self.model, &state);
    }
}

fn call(question: &Question) -> Call {
    match question {
        Question::Balance => Call::ReadBalance,
        Question::Find(name) => Call::FindAccount { name: name.parsed() },
        Question::Status { payer, nonce } => {
            Call::OrderStatus { orders: vec![OrderRef { payer: payer.parsed(), id: nonce.id() }] }
        }
        Question::Text { payer, amount, payee } => {
            let amount = Amount::new(u64::from(*amount));
            let payment = TextPayment { payer: payer.parsed(), amount, payee: payee.parsed() };
            Call::SubmitText { payment }
        }
    }
}
