//! A wallet that is gone, that forgets what it was told, or that is late, and a connection that panics.

use super::*;
use crate::probe::{PanickingStream, Trouble, settle, slow, troubled};

/// A link that tells these what the server says unasked, and the server's end of its connection.
fn start_with(events: Recipient<ServerEvent>) -> Stage {
    let (server, stream) = duplex(1 << 16);
    let link = ServerLink::new(stream, events, PATIENCE, &no_log()).start();
    Stage { server, link, events: probe(|_: &ServerEvent| ()).1 }
}

#[actix::test]
async fn without_a_wallet_the_answers_go_on_and_the_end_is_told_to_who_waits() {
    for trouble in Trouble::UNANSWERED {
        let mut stage = start_with(troubled(trouble, None).await);
        let asked = stage.ask("List");
        stage.expect("List\0").await;
        stage.say(&("Welcome\nTransfer OK!\n".repeat(1000) + "5\nKEY\n0\n")).await;
        let answer = asked.await;
        assert!(is_list(&answer, 5), "{trouble:?}: {answer:?}");
        let asked = stage.ask("List");
        stage.expect("List\0").await;
        drop(stage.server);
        let lost = ServerLinkError::Lost("the server closed it".to_owned());
        assert_eq!(asked.await, Err(lost), "{trouble:?}");
    }
}

/// The story: a server says a million lines, and all of them wait in the memory of the wallet. What it
/// has not heard stays with the server; the answers that came before are told.
#[actix::test]
async fn a_server_that_talks_without_end_is_not_listened_to() {
    /// The shortest line that is not empty.
    const LINE: &str = "x\n";
    let (events, mut told) = slow();
    let mut stage = start_with(events);
    let asked = stage.ask("REGISTER#al");
    stage.expect("REGISTER#al\0").await;
    stage.say("100 OK\n").await;
    assert_eq!(asked.await, Ok(ServerReply::Ok("100 OK".to_owned())));
    let lines = 1 << 20;
    let talking = actix::spawn(async move {
        stage.say(&LINE.repeat(lines)).await;
        stage
    });
    settle().await;
    let mut heard = 0;
    while heard < lines {
        let waiting = told.there();
        assert!(waiting.len() <= READ_BYTES / LINE.len(), "{} wait", waiting.len());
        assert!(!waiting.is_empty(), "{heard} of {lines} were heard");
        heard += waiting.len();
        for (_, reply) in waiting {
            reply.send(());
        }
        settle().await;
    }
    drop(talking.await.expect("no panic"));
    assert_eq!(told.next().await.0, ServerEvent::Lost("the server closed it".to_owned()));
}

/// The story: the link failed while nobody waited for an answer, and the wallet believed to be logged in
/// until it next asked something.
#[actix::test]
async fn a_panic_ends_its_link_alone() {
    let (events, mut told) = probe(|_: &ServerEvent| ());
    let link = ServerLink::new(PanickingStream::default(), events.clone(), PATIENCE, &no_log());
    let link = link.start();
    let recipient = link.recipient::<Ask>();
    let unanswered = recipient.send(Ask(request("List"))).await;
    let unanswered = unanswered.unwrap_or(Err(ServerLinkError::Lost("it is closed".to_owned())));
    assert!(matches!(unanswered, Err(ServerLinkError::Lost(_))), "{unanswered:?}");
    assert_eq!(told.next().await, ServerEvent::Lost("the link has failed".to_owned()));
    told.nothing();
    let mut stage = start_with(events);
    let asked = stage.ask("List");
    stage.expect("List\0").await;
    stage.say("5\nKEY\n0\n").await;
    assert!(is_list(&asked.await, 5));
}
