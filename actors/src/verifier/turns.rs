//! Whose orders are checked next.

use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap};
use std::vec;

use wire::{PublicKey, SignedOrder};

use super::Reply;
use crate::messages::{Verdicts, VerifyOrders};

/// The most signatures of one batch: what waits behind it waits 40 ms, and 70 ms if no two are of one
/// payer. The more there are, the more payers have signed several, whose keys are worked out once: of a
/// thousand payers, one costs two thirds of what it does among 1,024.
pub(super) const BATCH_ORDERS_MAX: usize = 4096;

/// The most orders of a question of somebody who waits for the answer, and for no other: what is paid by hand, and
/// by a till in a few milliseconds.
pub(super) const FEW_ORDERS_MAX: usize = 16;

/// The most signatures in a batch that one sender has asked for, while such questions come: half a millisecond,
/// a fraction of what a payment takes without anybody else.
pub(super) const TURN_ORDERS_MAX: usize = 32;

/// So many batches each has his turn after the last such question: some 30 ms beside one sender of many, in which
/// somebody who pays one after the other has asked again. Large batches cost a third less by the order.
pub(super) const SHARED_BATCHES: u32 = 64;

/// The most orders that wait: at 15 µs each, a second. At 700 bytes each, 46 MiB.
pub(super) const ORDERS_WAITING_MAX: usize = 1 << 16;

/// How much of what is free may be one sender's: a fourth, four times what a session may have under way. Sixteen that
/// ask without end leave a fifth.
const FREE_SHARE: usize = 4;

/// Orders of one message, and what is known of them.
pub(super) struct Question {
    sender: PublicKey,
    left: vec::IntoIter<SignedOrder>,
    pub(super) apart: bool,
    verdicts: Verdicts,
    reply: Reply,
}

/// The questions that are not answered yet. Each sender has his turn, whatever he has asked.
#[derive(Default)]
pub(super) struct Turns {
    /// All who have orders waiting, each once; whose turn it is stands in front.
    senders: VecDeque<PublicKey>,
    of_sender: HashMap<PublicKey, Sender>,
    orders: usize,
    /// How many batches are yet to be shared.
    shared_batches: u32,
}

#[derive(Default)]
struct Sender {
    questions: VecDeque<Question>,
    orders: usize,
}

impl Turns {
    /// How many orders wait.
    pub(super) fn orders(&self) -> usize {
        self.orders
    }

    pub(super) fn is_empty(&self) -> bool {
        self.senders.is_empty()
    }

    /// Whether somebody has asked lately who waits for the answer.
    pub(super) fn is_shared(&self) -> bool {
        self.shared_batches > 0
    }

    /// Whether so many orders of this sender may wait, too.
    pub(super) fn has_room(&self, sender: &PublicKey, count: usize) -> bool {
        let own = self.of_sender.get(sender).map_or(0, |own| own.orders);
        own + count <= (ORDERS_WAITING_MAX - self.orders) / FREE_SHARE
    }

    /// Lets them wait. The caller has looked whether there is room.
    pub(super) fn push(&mut self, question: VerifyOrders, reply: Reply) {
        let VerifyOrders { sender, orders, apart } = question;
        if orders.len() <= FEW_ORDERS_MAX && !self.of_sender.contains_key(&sender) {
            self.shared_batches = SHARED_BATCHES;
        }
        let verdicts = Verdicts::with_capacity(orders.len());
        let left = orders.into_iter();
        let question = Question { sender, left, apart, verdicts, reply };
        self.queue(question, VecDeque::push_back);
    }

    /// What is checked together: of each sender in turn as much as there is room for, and while the batches are
    /// shared no more than [`TURN_ORDERS_MAX`]. Each question goes back by [`Turns::answer`].
    pub(super) fn take_batch(&mut self) -> Vec<(Question, Vec<SignedOrder>)> {
        self.shared_batches = self.shared_batches.saturating_sub(1);
        let turn_max = if self.is_shared() { TURN_ORDERS_MAX } else { BATCH_ORDERS_MAX };
        let (mut batch, mut room) = (Vec::new(), BATCH_ORDERS_MAX);
        for _ in 0..self.senders.len() {
            if room == 0 {
                break;
            }
            let Some(sender) = self.senders.pop_front() else { break };
            let mut turn = turn_max.min(room);
            room -= turn;
            while turn > 0
                && let Some(mut question) = self.take_first(&sender)
            {
                let orders: Vec<_> = question.left.by_ref().take(turn).collect();
                turn -= orders.len();
                batch.push((question, orders));
            }
            room += turn;
            if self.of_sender.contains_key(&sender) {
                self.senders.push_back(sender);
            }
        }
        batch
    }

    /// Takes the verdicts on what was taken of a question, and answers it if that was the rest.
    pub(super) fn answer(&mut self, mut question: Question, verdicts: Verdicts) {
        question.verdicts.extend(verdicts);
        if question.left.len() == 0 {
            question.reply.send(Ok(question.verdicts));
        } else {
            self.queue(question, VecDeque::push_front);
        }
    }

    /// Counts so many orders, whoever has asked.
    #[cfg(test)]
    pub(super) fn pretend_orders(&mut self, orders: usize) {
        self.orders = orders;
    }

    fn queue(&mut self, question: Question, push: fn(&mut VecDeque<Question>, Question)) {
        let (sender, count) = (question.sender, question.left.len());
        let own = match self.of_sender.entry(sender) {
            Entry::Occupied(own) => own.into_mut(),
            Entry::Vacant(none) => {
                self.senders.push_back(sender);
                none.insert(Sender::default())
            }
        };
        push(&mut own.questions, question);
        own.orders += count;
        self.orders += count;
    }

    fn take_first(&mut self, sender: &PublicKey) -> Option<Question> {
        let Entry::Occupied(mut own) = self.of_sender.entry(*sender) else { return None };
        let question = own.get_mut().questions.pop_front()?;
        let count = question.left.len();
        own.get_mut().orders -= count;
        self.orders -= count;
        if own.get().questions.is_empty() {
            own.remove();
        }
        Some(question)
    }
}

#[cfg(test)]
mod tests {
    use std::iter;

    use super::*;
    use crate::later::Later;
    use crate::probe::{key, keyed_order};

    const MANY: usize = 500;

    fn sender_key(number: u8) -> PublicKey {
        PublicKey::new([number; 32])
    }

    /// So many orders of the sender with this number.
    fn ask(turns: &mut Turns, sender: u8, count: usize) {
        let order = keyed_order(1, ("alice", 1), ("bob", 2), 10).sign(&key(1));
        let (_, reply) = Later::new();
        let sender = sender_key(sender);
        turns.push(VerifyOrders { sender, orders: vec![order; count], apart: false }, reply);
    }

    /// How many orders of each question the next batch has; what is left of them waits again.
    fn next_batch(turns: &mut Turns) -> Vec<usize> {
        let batch = turns.take_batch();
        let counts = batch.iter().map(|(_, orders)| orders.len()).collect();
        for (question, _) in batch {
            turns.answer(question, Verdicts::new());
        }
        counts
    }

    #[test]
    fn a_batch_is_no_larger_than_it_may_be() {
        let mut turns = Turns::default();
        for _ in 0..3 {
            ask(&mut turns, 1, 3000);
        }
        assert_eq!(turns.orders(), 9000);
        assert_eq!(next_batch(&mut turns), [3000, 1096]);
        assert_eq!(next_batch(&mut turns), [1904, 2192]);
        assert_eq!(turns.orders(), 808);
        assert_eq!(next_batch(&mut turns), [808]);
        assert!(turns.is_empty() && turns.of_sender.is_empty());
        assert_eq!(turns.orders(), 0);
    }

    #[test]
    fn who_asks_for_many_leaves_the_others_their_turns() {
        let mut turns = Turns::default();
        for sender in 1..=3 {
            ask(&mut turns, sender, MANY);
        }
        assert_eq!(next_batch(&mut turns), [MANY; 3], "nobody waits for few");
        ask(&mut turns, 1, MANY);
        ask(&mut turns, 1, MANY);
        ask(&mut turns, 2, MANY);
        ask(&mut turns, 3, 1);
        assert_eq!(next_batch(&mut turns), [TURN_ORDERS_MAX, TURN_ORDERS_MAX, 1]);
        // Another one of few may come at any moment.
        assert_eq!(next_batch(&mut turns), [TURN_ORDERS_MAX; 2]);
        turns.shared_batches = 1;
        assert_eq!(
            next_batch(&mut turns),
            [MANY - 2 * TURN_ORDERS_MAX, MANY, MANY - 2 * TURN_ORDERS_MAX]
        );
    }

    /// Orders that are asked for one by one are not more turns.
    #[test]
    fn small_questions_are_no_way_to_more_turns() {
        let mut turns = Turns::default();
        for _ in 0..100 {
            ask(&mut turns, 1, FEW_ORDERS_MAX);
        }
        ask(&mut turns, 2, MANY);
        ask(&mut turns, 3, 1);
        assert_eq!(next_batch(&mut turns), [FEW_ORDERS_MAX, FEW_ORDERS_MAX, TURN_ORDERS_MAX, 1]);
        assert_eq!(next_batch(&mut turns), [FEW_ORDERS_MAX, FEW_ORDERS_MAX, TURN_ORDERS_MAX]);
    }

    #[test]
    fn more_senders_than_a_batch_holds_all_come_in_turn() {
        let mut turns = Turns::default();
        let last = u8::try_from(BATCH_ORDERS_MAX / TURN_ORDERS_MAX + 2).expect("few");
        for sender in 1..=last {
            ask(&mut turns, sender, TURN_ORDERS_MAX);
        }
        ask(&mut turns, 0, 1);
        assert_eq!(next_batch(&mut turns), [TURN_ORDERS_MAX; 128]);
        assert_eq!(next_batch(&mut turns), [TURN_ORDERS_MAX, TURN_ORDERS_MAX, 1]);
        assert!(turns.is_empty());
    }

    #[test]
    fn nobody_takes_all_the_room() {
        let mut turns = Turns::default();
        let mut greedy = 0;
        while turns.has_room(&sender_key(1), 1000) {
            ask(&mut turns, 1, 1000);
            greedy += 1000;
        }
        assert_eq!(greedy, 13_000, "a fifth");
        assert!(turns.has_room(&sender_key(2), 4096));
        turns.orders = ORDERS_WAITING_MAX;
        assert!(!turns.has_room(&sender_key(2), 1));
    }

    #[test]
    fn verdicts_stay_in_order_over_many_turns() {
        let mut turns = Turns::default();
        let (_, reply) = Later::new();
        let orders: Vec<_> = (0..100)
            .map(|number| keyed_order(number, ("alice", 1), ("bob", 2), 10).sign(&key(1)))
            .collect();
        let sender = sender_key(1);
        turns.push(VerifyOrders { sender, orders: orders.clone(), apart: false }, reply);
        turns.shared_batches = SHARED_BATCHES;
        let taken = iter::from_fn(|| {
            let (question, orders) = turns.take_batch().pop()?;
            turns.answer(question, Verdicts::new());
            Some(orders)
        });
        assert_eq!(taken.flatten().collect::<Vec<_>>(), orders);
    }
}
