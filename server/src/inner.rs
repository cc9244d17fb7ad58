//! How a surface speaks to the control thread: by a connection of its own, whether somebody outside holds the other end
//! or it lies inside of the server. Requests are answered one by one; what happens is heard by a subscription.

use std::{
    sync::{
        Arc,
        mpsc::{SyncSender, TrySendError},
    },
    time::Duration,
};

use aulos_protocol::{
    Command, Error, ErrorCode, Event, Query, Reply, State, Telemetry,
    wire::{Ask, Request},
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    control::ToControl,
    hub::{Connections, News, Outlet, Queue},
};

/// How much of what happened can wait for a subscriber inside of the server.
const MOST_NEWS: usize = 1024;
/// How soon it is tried again to subscribe when the server has too much to do.
const SOON: Duration = Duration::from_millis(20);

/// A connection to the control thread.
#[derive(Clone)]
pub struct Inner {
    connection: u64,
    control: SyncSender<ToControl>,
}

impl Inner {
    /// A connection with a number of its own.
    pub fn new(connections: &Connections, control: SyncSender<ToControl>) -> Self {
        Self { connection: connections.next(), control }
    }

    /// Its number.
    pub fn id(&self) -> u64 {
        self.connection
    }

    /// Asks, and answers with what came of it. It is asked when this is called, not when the answer is waited for: what
    /// is asked first is carried out first.
    ///
    /// # Errors
    /// What the server says; `Busy` if too much waits for it already, `Unavailable` if it goes down.
    pub fn ask(&self, request: Request) -> impl Future<Output = Result<Reply, Error>> + Send + use<> {
        let (tell, told) = oneshot::channel();
        let answer = Box::new(move |result| {
            if tell.send(result).is_err() {
                tracing::debug!("a connection did not wait for its answer");
            }
        });
        let sent = self.send(ToControl::Request { connection: self.connection, request, answer });
        async move {
            sent?;
            told.await.unwrap_or_else(|_| Err(ended()))
        }
    }

    /// Asks for a change.
    ///
    /// # Errors
    /// As [`Inner::ask`].
    pub fn command(&self, command: Command) -> impl Future<Output = Result<Reply, Error>> + Send + use<> {
        self.ask(plain(Ask::Command(command)))
    }

    /// Asks a question.
    ///
    /// # Errors
    /// As [`Inner::ask`].
    pub fn query(&self, query: Query) -> impl Future<Output = Result<Reply, Error>> + Send + use<> {
        self.ask(plain(Ask::Query(query)))
    }

    /// Has `outlet` told what happens; `put` takes the full state to where it is read before all changes, and says
    /// whether it went there.
    ///
    /// # Errors
    /// If it could not be asked for; what is asked wrongly is told to `put`.
    pub async fn subscribe_outlet(
        &self,
        outlet: Outlet,
        telemetry_hz: f64,
        put: impl FnOnce(Result<Reply, Error>) -> bool + Send + 'static,
    ) -> Result<(), Result<Reply, Error>> {
        let (tell, told) = oneshot::channel();
        let answer = Box::new(move |result| {
            let queued = put(result);
            // Nobody may wait for it any more.
            let _ = tell.send(());
            queued
        });
        let connection = self.connection;
        self.send(ToControl::Subscribe { connection, outlet, telemetry_hz, answer }).map_err(Err)?;
        told.await.map_err(|_| Err(ended()))
    }

    /// Begins to hear what happens, with the full state, and telemetry so many times a second. A connection has one
    /// subscription at a time.
    ///
    /// # Errors
    /// `Unavailable` when the server goes down, `OutOfRange` for telemetry that comes too often.
    pub async fn subscribe(&self, telemetry_hz: f64) -> Result<(Box<State>, Subscription), Error> {
        loop {
            let (sender, news) = mpsc::channel(MOST_NEWS);
            let (drop, dropped) = watch::channel(None);
            let (give, given) = oneshot::channel();
            let put = move |result: Result<Reply, Error>| {
                let is_ok = result.is_ok();
                give.send(result).is_ok() && is_ok
            };
            let outlet = Outlet { queue: Queue::News(sender), drop };
            match self.subscribe_outlet(outlet, telemetry_hz, put).await {
                Ok(()) => {}
                Err(Err(error)) if error.code == ErrorCode::Busy => {
                    tokio::time::sleep(SOON).await;
                    continue;
                }
                Err(result) => return Err(result.err().unwrap_or_else(ended)),
            }
            return match given.await.unwrap_or_else(|_| Err(ended()))? {
                Reply::Subscribed(state) => {
                    Ok((state, Subscription { inner: self.clone(), telemetry_hz, news, dropped }))
                }
                _ => Err(Error::new(ErrorCode::Internal, "a subscription did not begin with the state")),
            };
        }
    }

    /// Hears nothing any more.
    pub async fn unsubscribe(&self) {
        // Not by waiting: one thread serves all connections.
        let connection = self.connection;
        while let Err(TrySendError::Full(_)) = self.control.try_send(ToControl::Unsubscribe { connection }) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn send(&self, message: ToControl) -> Result<(), Error> {
        self.control.try_send(message).map_err(|error| match error {
            TrySendError::Full(_) => {
                Error::new(ErrorCode::Busy, "the server has too much to do").remedy("try again in a moment")
            }
            TrySendError::Disconnected(_) => Error::new(ErrorCode::Unavailable, "the server is going down"),
        })
    }
}

fn plain(ask: Ask) -> Request {
    Request { id: None, ask, dry_run: false, revision: None, at: None, fade_ms: None }
}

fn ended() -> Error {
    Error::new(ErrorCode::Unavailable, "the server ended before it could answer")
}

/// What a subscriber inside of the server hears.
#[derive(Clone, Debug)]
pub enum Heard {
    /// The full state: it was too slow, and has missed something.
    State(Box<State>),
    /// Something happened.
    Event(Arc<Event>),
    /// The newest of what moves.
    Telemetry(Box<Telemetry>),
}

/// A subscription of a surface inside of the server. Up to 1,024 pieces of news wait; one that is slower than that is
/// dropped by the hub, and then begins anew by itself, with the full state.
pub struct Subscription {
    inner: Inner,
    telemetry_hz: f64,
    news: mpsc::Receiver<News>,
    dropped: watch::Receiver<Option<String>>,
}

impl Subscription {
    /// What is heard next. May be given up while it waits: nothing is lost. None when the server goes down.
    pub async fn next(&mut self) -> Option<Heard> {
        if let Some(news) = self.news.recv().await {
            return Some(heard(news));
        }
        self.again().await
    }

    /// What has been heard already, if anything.
    pub fn waiting(&mut self) -> Option<Heard> {
        self.news.try_recv().ok().map(heard)
    }

    /// Begins anew, after the queue has ended.
    async fn again(&mut self) -> Option<Heard> {
        let reason = self.dropped.borrow().clone();
        if let Some(reason) = reason {
            tracing::warn!("connection {} subscribes anew: {reason}", self.inner.id());
        }
        let (state, new) = self.inner.subscribe(self.telemetry_hz).await.ok()?;
        *self = new;
        Some(Heard::State(state))
    }
}

fn heard(news: News) -> Heard {
    match news {
        News::Event(event) => Heard::Event(event),
        News::Telemetry(telemetry) => Heard::Telemetry(telemetry),
    }
}

#[cfg(test)]
mod tests {
    use aulos_protocol::{Frames, Session, TransportState};

    use super::*;
    use crate::hub::Hub;

    fn state(revision: u64) -> State {
        let session = Session::new("x", aulos_protocol::Rate::default());
        State { revision, session, path: None, transport: TransportState::default() }
    }

    /// A control thread that answers each command with so many events, and the number of those so far.
    fn control() -> SyncSender<ToControl> {
        let (control, inbox) = std::sync::mpsc::sync_channel(64);
        std::thread::spawn(move || {
            let (mut hub, mut told) = (Hub::default(), 0);
            while let Ok(message) = inbox.recv() {
                match message {
                    ToControl::Request { request, answer, .. } => {
                        let Ask::Command(Command::Step { blocks }) = request.ask else { break };
                        for _ in 0..blocks[0] {
                            told += 1;
                            hub.tell(&Event::Aligned { revision: told, frame: Frames(0) });
                        }
                        answer(Ok(Reply::Started { operation: told }));
                    }
                    ToControl::Subscribe { connection, outlet, telemetry_hz, answer } => {
                        if answer(Ok(Reply::Subscribed(Box::new(state(told))))) {
                            hub.subscribe(connection, outlet, telemetry_hz);
                        }
                    }
                    _ => break,
                }
            }
        });
        control
    }

    async fn tell(inner: &Inner, events: u32) {
        inner.command(Command::Step { blocks: vec![events] }).await.unwrap();
    }

    #[tokio::test]
    async fn a_subscriber_hears_all_in_order_or_begins_anew() {
        let inner = Inner::new(&Connections::default(), control());
        tell(&inner, 3).await;
        let (state, mut subscription) = inner.subscribe(0.0).await.unwrap();
        assert_eq!(state.revision, 3);
        tell(&inner, MOST_NEWS as u32).await;
        for expected in 4..4 + MOST_NEWS as u64 {
            let Some(Heard::Event(event)) = subscription.next().await else { panic!("{expected}") };
            assert!(matches!(*event, Event::Aligned { revision, .. } if revision == expected));
        }
        assert!(subscription.waiting().is_none());
        tell(&inner, MOST_NEWS as u32 + 1).await;
        let mut heard = 0;
        let state = loop {
            match subscription.next().await.unwrap() {
                Heard::State(state) => break state,
                _ => heard += 1,
            }
        };
        assert_eq!((heard, state.revision), (MOST_NEWS, 3 + 2 * MOST_NEWS as u64 + 1));
        tell(&inner, 1).await;
        assert!(matches!(subscription.next().await, Some(Heard::Event(_))));
        // The control thread ends.
        assert_eq!(inner.query(Query::Status).await.unwrap_err().code, ErrorCode::Unavailable);
        assert!(subscription.next().await.is_none());
    }

    #[tokio::test]
    async fn what_is_asked_first_is_carried_out_first_and_too_much_is_refused() {
        let (control, inbox) = std::sync::mpsc::sync_channel(2);
        let connections = Connections::default();
        let (one, two) = (Inner::new(&connections, control.clone()), Inner::new(&connections, control));
        assert_ne!(one.id(), two.id());
        let (first, second) = (one.command(Command::Play), two.command(Command::Stop));
        assert_eq!(one.command(Command::Pause).await.unwrap_err().code, ErrorCode::Busy);
        for expected in [Command::Play, Command::Stop] {
            let Ok(ToControl::Request { request, answer, .. }) = inbox.recv() else { panic!("no request") };
            assert_eq!(request.ask, Ask::Command(expected));
            answer(Ok(Reply::Done));
        }
        assert_eq!((second.await, first.await), (Ok(Reply::Done), Ok(Reply::Done)));
    }
}
