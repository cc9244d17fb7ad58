//! Looks after the device: has it opened, hands it the engine, notices when it is lost, has the dummy clock stand in,
//! and takes it up again.
//!
//! What may hang because another process is dead runs on the device's own thread ([`super::keeper`]), so that the
//! supervisor always answers.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel},
    },
    thread::Thread,
    time::{Duration, Instant},
};

use aulos_engine::Counters;
use aulos_protocol::{Error, ErrorCode, Rate};

use super::{
    Kind, Setup,
    device::{Facts, Loss, Opening, Wanted},
    keeper::{Changed, Crew, Kept, Pending, Started},
};

/// How often the supervisor looks around by itself.
const TICK: Duration = Duration::from_millis(20);
/// How long a device that was lost is left alone before it is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// How long the longest wait is before one that hangs while it is opened is tried again.
const LONGEST_RETRY: Duration = Duration::from_secs(300);
/// How often a device is looked for where it was left open which, and there was none.
const SEARCH: Duration = Duration::from_secs(5);
/// How long a device that was opened usually may take until it calls the engine for the first time.
const FIRST_CALL: Duration = Duration::from_secs(5);
/// How long a fade-out at the end is waited for.
const LEAVE: Duration = Duration::from_millis(200);
/// How long a device usually may take to be opened or changed when somebody waits for it.
const CHANGE: Duration = Duration::from_secs(5);
/// How long a device may take to be closed at the end.
const CLOSE: Duration = Duration::from_secs(2);

/// What becomes of an order.
pub type Answer = Box<dyn FnOnce(Result<(), Error>) + Send>;

/// What the supervisor is told.
pub enum Order {
    /// The session wants something else of the device.
    Wanted(Wanted),
    /// To change the driver.
    Set(Box<Setup>, Answer),
    /// To close the device; told when that is done.
    Stop(SyncSender<()>),
}

/// What the supervisor has to say.
pub enum News {
    /// The state of the driver is another.
    Changed,
    /// Something should be known.
    Warning(Error),
}

/// The driver as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// What is used, and how.
    pub setup: Setup,
    /// What was asked for; `auto` if it was left open.
    pub asked: Kind,
    /// Why, where that was not said.
    pub reason: Option<String>,
    /// What is known of the device while it runs.
    pub facts: Option<Facts>,
    /// Why the device does not run.
    pub lost: Option<String>,
    /// How often it was lost.
    pub losses: u64,
}

impl Shown {
    /// A driver that runs by itself.
    pub fn new(setup: Setup) -> Self {
        Self { asked: setup.kind, setup, reason: None, facts: None, lost: None, losses: 0 }
    }
}

/// What the supervisor and the control thread share.
pub struct Board {
    shown: Mutex<Shown>,
    /// The engine that is about to sit down, until the supervisor knows: its counters, and the session's rate.
    engine: Mutex<Option<(Arc<Counters>, Rate)>>,
}

impl Board {
    /// The driver as it is now.
    pub fn shown(&self) -> Shown {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Another engine is about to sit down. No order, as it cannot be refused any more.
    pub fn announce(&self, counters: Arc<Counters>, rate: Rate) {
        *self.engine.lock().unwrap_or_else(PoisonError::into_inner) = Some((counters, rate));
    }

    fn announced(&self) -> Option<(Arc<Counters>, Rate)> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn show(&self, change: impl FnOnce(&mut Shown)) -> bool {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let before = shown.clone();
        change(&mut shown);
        *shown != before
    }
}

/// The control thread's end.
pub struct Handle {
    /// The driver as it is shown.
    pub board: Arc<Board>,
    /// What there is to tell.
    pub news: Receiver<News>,
    orders: SyncSender<Order>,
}

impl Handle {
    /// Tells the supervisor.
    ///
    /// # Errors
    /// `Busy` if it does not take it.
    pub fn order(&self, order: Order) -> Result<(), Error> {
        self.orders.try_send(order).map_err(|_| busy())
    }

    /// Has the driver changed; `answer` is told how that went.
    pub fn set(&self, setup: Setup, answer: Answer) {
        match self.orders.try_send(Order::Set(Box::new(setup), answer)) {
            Ok(()) => {}
            Err(
                TrySendError::Full(Order::Set(_, answer)) | TrySendError::Disconnected(Order::Set(_, answer)),
            ) => {
                answer(Err(busy()));
            }
            Err(_) => unreachable!("another order than the one that was given"),
        }
    }

    /// Has the device closed, but does not wait for ever.
    pub fn stop(self) {
        let Self { news, orders, .. } = self;
        // Nobody listens any more, so that the supervisor is not kept waiting.
        drop(news);
        let (done, stopped) = sync_channel(1);
        if orders.send(Order::Stop(done)).is_err() || stopped.recv_timeout(LEAVE + CLOSE * 2).is_err() {
            tracing::warn!("the driver's device does not close; it is left as it is");
        }
    }
}

fn busy() -> Error {
    Error::new(ErrorCode::Busy, "the driver's supervisor does not take any more orders")
        .remedy("try again in a moment")
}

/// A device that runs.
struct Running {
    device: Kept,
    since: Instant,
    /// Whether it has called the engine.
    called: bool,
}

/// A change of the driver that is under way.
struct Change {
    setup: Setup,
    /// What was used before; the reason for it.
    before: (Setup, Kind, Option<String>),
    answer: Answer,
    since: Instant,
    /// Where a device that goes on says what has become of its block; otherwise one is being opened.
    block: Option<Receiver<Changed>>,
}

/// The supervisor, on its thread.
pub struct Supervisor {
    setup: Setup,
    /// What is used of what was asked for.
    kind: Kind,
    opening: Opening,
    crew: Crew,
    counters: Arc<Counters>,
    block: Arc<AtomicU32>,
    dummy: Thread,
    running: Option<Running>,
    pending: Option<(Pending, Instant)>,
    change: Option<Change>,
    /// When the device is tried again.
    retry: Option<Instant>,
    /// How often in a row opening it has not come back.
    hung: u32,
    board: Arc<Board>,
    news: SyncSender<News>,
}

/// Opens the first device.
///
/// # Errors
/// Why it cannot be opened.
pub fn first(opening: &Opening, counters: &Arc<Counters>, crew: &Crew) -> Result<Started, Error> {
    const PATIENCE: Duration = Duration::from_secs(15);
    let pending = crew.begin(opening.clone(), counters.clone())?;
    pending.recv_timeout(opening.setup.at_most(PATIENCE)).unwrap_or_else(|_| {
        Err(silence(opening.setup.kind)
            .remedy("see whether the sound server hangs, or start with --driver dummy"))
    })
}

fn silence(kind: Kind) -> Error {
    Error::new(ErrorCode::Unavailable, format!("the {} driver does not answer", kind.name()))
}

/// What the supervisor is started with.
pub struct Post {
    /// What is to be opened.
    pub opening: Opening,
    /// What was opened first.
    pub first: Started,
    /// Whose threads keep the devices.
    pub crew: Crew,
    /// The engine's counters.
    pub counters: Arc<Counters>,
    /// Frames in a cycle of the dummy clock.
    pub block: Arc<AtomicU32>,
    /// The thread of the dummy clock.
    pub dummy: Thread,
}

impl Supervisor {
    /// Starts the supervisor with what was opened first.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(post: Post) -> Result<Handle, Error> {
        let Post { opening, first, crew, counters, block, dummy } = post;
        let setup = Setup { kind: first.kind, ..opening.setup.clone() };
        let shown = Shown { asked: opening.setup.kind, ..Shown::new(setup) };
        let board = Arc::new(Board { shown: Mutex::new(shown), engine: Mutex::default() });
        let (orders, inbox) = sync_channel(256);
        let (news, told) = sync_channel(256);
        let mut supervisor = Self {
            setup: opening.setup.clone(),
            kind: first.kind,
            opening,
            crew,
            counters,
            block,
            dummy,
            running: None,
            pending: None,
            change: None,
            retry: None,
            hung: 0,
            board: board.clone(),
            news,
        };
        supervisor.adopt(first);
        std::thread::Builder::new()
            .name("aulos-driver".into())
            .spawn(move || supervisor.run(&inbox))
            .map_err(|error| Error::io("start the driver's thread", &error))?;
        Ok(Handle { board, news: told, orders })
    }

    fn run(mut self, inbox: &Receiver<Order>) {
        loop {
            let order = inbox.recv_timeout(TICK);
            // What is wanted then is of its session.
            if let Some((counters, rate)) = self.board.announced() {
                self.set_engine(counters, rate);
            }
            match order {
                Ok(Order::Wanted(wanted)) => {
                    if let Some(running) = &self.running {
                        running.device.want(&wanted);
                    }
                    self.opening.wanted = wanted;
                }
                Ok(Order::Set(setup, answer)) => self.set(*setup, answer),
                Ok(Order::Stop(done)) => {
                    self.stop();
                    // Whoever asked may have gone.
                    let _ = done.send(());
                    return;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.stop(),
            }
            self.tick();
        }
    }

    fn tick(&mut self) {
        self.look_at_pending();
        self.look_at_block();
        self.look_at_running();
        self.grow();
        if self.running.is_none()
            && self.pending.is_none()
            && self.retry.is_some_and(|at| at <= Instant::now())
        {
            self.retry = None;
            self.open();
        }
    }

    /// Begins to open what is used.
    fn open(&mut self) {
        let mut opening = self.opening.clone();
        let kind = if self.searches() { Kind::Auto } else { self.kind };
        opening.setup = Setup { kind, ..self.setup.clone() };
        match self.crew.begin(opening, self.counters.clone()) {
            Ok(pending) => self.pending = Some((pending, Instant::now())),
            Err(error) => self.failed(error),
        }
    }

    /// Whether it was left open which device is used, and there was none.
    fn searches(&self) -> bool {
        let bound = self.setup.file.is_some() || self.setup.frames.is_some();
        self.setup.kind == Kind::Auto && self.kind == Kind::Dummy && !bound
    }

    fn look_at_pending(&mut self) {
        let Some((pending, since)) = &self.pending else { return };
        match pending.try_recv() {
            Err(TryRecvError::Empty) if since.elapsed() <= self.setup.at_most(CHANGE) => {}
            Err(TryRecvError::Empty) => {
                // Should it come back after all, its thread closes what it has opened.
                self.pending = None;
                self.failed(silence(self.kind).remedy("see whether the sound server hangs"));
                // Each attempt may hang, too.
                self.hung += 1;
                let wait = RETRY.saturating_mul(1 << self.hung.min(16)).min(LONGEST_RETRY);
                self.retry = self.retry.map(|_| Instant::now() + wait);
            }
            Err(TryRecvError::Disconnected) => {
                self.pending = None;
                self.failed(Error::new(ErrorCode::Internal, "the thread that opens the device panicked"));
            }
            Ok(Ok(started)) => {
                self.pending = None;
                self.hung = 0;
                self.adopt(started);
                if let Some(change) = self.opens() {
                    (change.answer)(Ok(()));
                }
            }
            Ok(Err(error)) => {
                self.pending = None;
                self.failed(error);
            }
        }
    }

    /// The change for which a device is being opened; another one may wait for a block.
    fn opens(&mut self) -> Option<Change> {
        self.change.take_if(|change| change.block.is_none())
    }

    /// Has what was opened call the engine.
    fn adopt(&mut self, started: Started) {
        let Started { kind, reason, device, warnings } = started;
        let found_none_again = self.searches() && device.is_none();
        self.kind = kind;
        self.setup.impose_block = false;
        let reason = reason.or_else(|| self.board.shown().reason);
        let facts = device.as_ref().map(Kept::facts);
        match (&facts, &reason) {
            (Some(facts), _) => tracing::info!(
                "the {} driver runs: {}, {} Hz, {} frames{}",
                kind.name(),
                facts.name,
                facts.rate.hz(),
                facts.block,
                reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default()
            ),
            (None, _) if found_none_again => {}
            (None, Some(reason)) => tracing::info!("the {} driver runs ({reason})", kind.name()),
            (None, None) => {}
        }
        warnings.into_iter().for_each(|warning| self.tell(News::Warning(warning)));
        if let Some(device) = device {
            // They may be others since it was opened.
            device.want(&self.opening.wanted);
            device.count_by(&self.counters);
            self.opening.berth.invite(device.number());
            self.running = Some(Running { device, since: Instant::now(), called: false });
        } else if self.searches() {
            self.retry = Some(Instant::now() + SEARCH);
        }
        let setup = Setup { kind, ..self.setup.clone() };
        let asked = self.setup.kind;
        self.show(|shown| *shown = Shown { setup, asked, reason, facts, lost: None, losses: shown.losses });
    }

    fn failed(&mut self, error: Error) {
        match self.opens() {
            Some(change) => {
                // The driver before is taken up again.
                let reason;
                (self.setup, self.kind, reason) = change.before;
                (change.answer)(Err(error));
                let setup = Setup { kind: self.kind, ..self.setup.clone() };
                self.block.store(setup.block, Relaxed);
                self.retry = (setup.kind.is_device() || self.searches()).then(Instant::now);
                let asked = self.setup.kind;
                self.show(|shown| {
                    (shown.setup, shown.asked, shown.reason, shown.lost) = (setup, asked, reason, None);
                });
            }
            None if self.searches() => self.retry = Some(Instant::now() + SEARCH),
            None => {
                let text = error.to_string();
                self.show(|shown| shown.lost = Some(text));
                self.retry = Some(Instant::now() + RETRY);
            }
        }
    }

    fn look_at_running(&mut self) {
        let Some(running) = &mut self.running else { return };
        let berth = &self.opening.berth;
        let held = berth.is_held_by(running.device.number());
        running.called |= held;
        let facts = running.device.facts();
        let idle = Duration::from_nanos(berth.idle_ns());
        let most = self.opening.setup.patience
            + Duration::from_nanos(super::monotonic::duration_ns(u64::from(facts.block) * 8, facts.rate));
        let loss = running.device.loss().or_else(|| {
            if running.called && !held {
                // It was opened for the rate of the session before.
                Some(Loss::passing("the session has another rate"))
            } else if running.called && idle > most && !facts.waits {
                Some(Loss::passing(format!("it has not called for {:.1} s", idle.as_secs_f64())))
            } else if !running.called && running.since.elapsed() > self.opening.setup.at_most(FIRST_CALL) {
                Some(Loss::passing("it does not call"))
            } else {
                None
            }
        });
        match loss {
            Some(loss) => self.lose(loss),
            None => self.show(|shown| shown.facts = Some(facts)),
        }
    }

    /// Has the dummy clock stand in.
    fn lose(&mut self, loss: Loss) {
        self.opening.berth.take_back();
        self.dummy.unpark();
        tracing::warn!("the {} driver is lost: {}; the dummy clock stands in", self.kind.name(), loss.reason);
        self.running = None;
        self.retry = loss.retry.then(|| Instant::now() + RETRY);
        self.show(|shown| {
            (shown.facts, shown.lost) = (None, Some(loss.reason));
            shown.losses += 1;
        });
    }

    /// Has the device fade out and closes it; what tells when it is closed.
    fn retire(&mut self) -> Option<Receiver<()>> {
        let Running { device, .. } = self.running.take()?;
        let berth = &self.opening.berth;
        berth.ask_to_leave();
        let begun = Instant::now();
        while berth.is_held_by(device.number()) && begun.elapsed() < LEAVE {
            std::thread::sleep(Duration::from_millis(1));
        }
        berth.take_back();
        self.dummy.unpark();
        Some(device.close())
    }

    /// Has the device opened anew if it could reach more of what is wanted.
    fn grow(&mut self) {
        let Some(running) = &self.running else { return };
        if self.change.is_none()
            && running.called
            && running.device.facts().is_outgrown_by(&self.opening.wanted)
        {
            tracing::info!("the {} driver opens its device anew for more channels", self.kind.name());
            self.open_anew();
        }
    }

    /// Has what is used opened again, in the place of what runs or is being opened.
    fn open_anew(&mut self) {
        if let Some(closed) = self.retire() {
            // A device is rarely opened twice.
            let _ = closed.recv_timeout(CLOSE);
        }
        self.pending = None;
        self.show(|shown| shown.facts = None);
        self.open();
    }

    /// Has the device opened anew if the engine that sits down has another rate.
    fn set_engine(&mut self, counters: Arc<Counters>, rate: Rate) {
        if let Some(running) = &self.running {
            running.device.count_by(&counters);
        }
        self.counters = counters;
        if rate == std::mem::replace(&mut self.opening.rate, rate) {
            return;
        }
        if self.running.is_some() || self.pending.is_some() {
            self.open_anew();
        }
    }

    fn set(&mut self, setup: Setup, answer: Answer) {
        if self.change.is_some() {
            return answer(Err(Error::new(ErrorCode::Busy, "the driver is being changed already")
                .remedy("try again in a moment")));
        }
        if !setup.kind.is_device() && setup.kind != Kind::Auto {
            self.retire();
            (self.pending, self.retry) = (None, None);
            self.block.store(setup.block, Relaxed);
            (self.setup, self.kind) = (setup.clone(), Kind::Dummy);
            self.show(|shown| *shown = Shown { losses: shown.losses, ..Shown::new(setup) });
            return answer(Ok(()));
        }
        let before = (self.setup.clone(), self.kind, self.board.shown().reason);
        let mut change = Change { setup, before, answer, since: Instant::now(), block: None };
        let now = Setup { kind: change.setup.kind, ..self.setup.clone() };
        let only_block = [self.kind, self.setup.kind].contains(&now.kind)
            && Setup { block: now.block, impose_block: now.impose_block, ..change.setup.clone() } == now;
        match &self.running {
            Some(running) if only_block => match running.device.set_block(change.setup.block) {
                Ok(answered) => {
                    change.block = Some(answered);
                    self.change = Some(change);
                }
                Err(error) => (change.answer)(Err(error)),
            },
            _ => self.reopen(change),
        }
    }

    /// Opens what a change asks for, in the place of what runs.
    fn reopen(&mut self, change: Change) {
        if let Some(closed) = self.retire() {
            // A device is rarely opened twice.
            let _ = closed.recv_timeout(CLOSE);
        }
        (self.pending, self.retry) = (None, None);
        self.block.store(change.setup.block, Relaxed);
        (self.setup, self.kind) = (change.setup.clone(), change.setup.kind);
        self.board.show(|shown| (shown.reason, shown.facts) = (None, None));
        self.change = Some(Change { block: None, ..change });
        self.open();
    }

    /// Looks what has become of another block.
    fn look_at_block(&mut self) {
        let Some(change) = self.change.take_if(|change| change.block.is_some()) else { return };
        let answer = change.block.as_ref().map(Receiver::try_recv);
        match answer {
            Some(Err(TryRecvError::Empty)) if change.since.elapsed() <= self.setup.at_most(CHANGE) => {
                self.change = Some(change)
            }
            Some(Ok(Ok(true))) => {
                self.setup.block = change.setup.block;
                self.block.store(change.setup.block, Relaxed);
                let block = change.setup.block;
                self.show(|shown| shown.setup.block = block);
                (change.answer)(Ok(()));
            }
            Some(Ok(Ok(false))) => self.reopen(change),
            Some(Ok(Err(error))) => (change.answer)(Err(error)),
            // It hangs, or has gone meanwhile.
            _ => (change.answer)(Err(silence(self.kind).remedy("see whether the sound server hangs"))),
        }
    }

    fn stop(&mut self) {
        if let Some(closed) = self.retire()
            && closed.recv_timeout(CLOSE).is_err()
        {
            tracing::warn!("the {} driver does not close its device", self.kind.name());
        }
    }

    /// Changes what is shown, and tells if that matters to subscribers.
    fn show(&mut self, change: impl FnOnce(&mut Shown)) {
        if self.board.show(change) {
            self.tell(News::Changed);
        }
    }

    fn tell(&self, news: News) {
        // Never by waiting: a device may be lost meanwhile. The state is read when one of those before is taken.
        if let Err(TrySendError::Full(News::Warning(error))) = self.news.try_send(news) {
            tracing::warn!("{error}");
        }
    }
}
