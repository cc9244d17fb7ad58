//! What a client has subscribed to, and what of it is still to be told.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use aulos_osc::{meaning::is_same, pattern::Pattern};
use rosc::{OscMessage, OscType};

/// How many subscriptions a client can have.
pub const MOST_SUBSCRIPTIONS: usize = 64;
/// How many addresses can wait to be told to a client.
pub const MOST_WAITING: usize = 8192;
/// How many controls of a client can be in motion.
const MOST_HELD: usize = 1024;
/// How long after a client has moved a control last it is told where the control is.
const SETTLED: Duration = Duration::from_millis(200);

/// How many addresses a client can listen to one by one.
pub const MOST_LISTENED: usize = MOST_WAITING;
/// How often at most those are told.
const LISTENED: Duration = Duration::from_micros(16_667);

/// What a subscription is to.
enum Wanted {
    /// What this matches.
    Pattern(Pattern),
    /// Each of these, without an end.
    Addresses(BTreeSet<String>),
}

impl Wanted {
    fn has(&self, address: &str) -> bool {
        match self {
            Self::Pattern(pattern) => pattern.matches(address),
            Self::Addresses(addresses) => addresses.contains(address),
        }
    }

    /// The pattern, if it is one.
    fn pattern(&self) -> Option<&str> {
        match self {
            Self::Pattern(pattern) => Some(pattern.text()),
            Self::Addresses(_) => None,
        }
    }
}

/// One subscription.
struct Subscription {
    wanted: Wanted,
    period: Duration,
    next: Instant,
    /// The newest value of each address that is still to be told.
    waiting: BTreeMap<String, Vec<OscType>>,
}

/// A control that a client moves.
struct Held {
    since: Instant,
    /// Which of the client's settings was the last.
    serial: u64,
    asked: Vec<OscType>,
}

/// The subscriptions of a client.
#[derive(Default)]
pub struct Feed {
    subscriptions: Vec<Subscription>,
    held: BTreeMap<String, Held>,
    serial: u64,
    lease: Duration,
    /// When it ends; never, if there is a lease of none.
    ends: Option<Instant>,
}

impl Feed {
    pub fn is_empty(&self) -> bool {
        self.subscriptions.is_empty()
    }

    /// Subscribes to a pattern, so many times a second; one that is there already gets the new rate. Whether there was
    /// room for it.
    pub fn subscribe(&mut self, pattern: Pattern, hz: f64, lease: Duration) -> bool {
        let period = Duration::from_secs_f64(1.0 / hz);
        let next = Instant::now();
        let full = self.subscriptions.len() == MOST_SUBSCRIPTIONS;
        match self.subscriptions.iter_mut().find(|own| own.wanted.pattern() == Some(pattern.text())) {
            Some(own) => (own.period, own.next) = (period, next),
            None if full => return false,
            None => {
                let (wanted, waiting) = (Wanted::Pattern(pattern), BTreeMap::new());
                self.subscriptions.push(Subscription { wanted, period, next, waiting });
            }
        }
        self.lease = lease;
        self.renew();
        true
    }

    /// Ends the subscription of a pattern, or of all; whether there was one.
    pub fn unsubscribe(&mut self, pattern: Option<&str>) -> bool {
        let before = self.subscriptions.len();
        self.subscriptions.retain(|own| {
            own.wanted.pattern().is_none_or(|own| pattern.is_some_and(|pattern| own != pattern))
        });
        self.subscriptions.len() < before
    }

    fn listened(&mut self) -> Option<&mut BTreeSet<String>> {
        self.subscriptions.iter_mut().find_map(|own| match &mut own.wanted {
            Wanted::Addresses(addresses) => Some(addresses),
            Wanted::Pattern(_) => None,
        })
    }

    /// Listens to an address as long as the client is there. Whether there was room for it.
    pub fn listen(&mut self, address: &str) -> bool {
        if self.listened().is_none() {
            let (wanted, waiting) = (Wanted::Addresses(BTreeSet::new()), BTreeMap::new());
            let next = Instant::now();
            self.subscriptions.push(Subscription { wanted, period: LISTENED, next, waiting });
        }
        self.listened().is_some_and(|addresses| {
            let room = addresses.len() < MOST_LISTENED || addresses.contains(address);
            if room {
                addresses.insert(address.to_owned());
            }
            room
        })
    }

    /// Listens to an address no more.
    pub fn ignore(&mut self, address: &str) {
        for own in &mut self.subscriptions {
            if let Wanted::Addresses(addresses) = &mut own.wanted
                && addresses.remove(address)
            {
                own.waiting.remove(address);
            }
        }
    }

    /// What is listened to below a path lies below another one from now on.
    pub fn follow(&mut self, old: &str, new: &str) {
        let Some(addresses) = self.listened() else { return };
        let moved = |address: &String| {
            let rest = address.strip_prefix(old).filter(|rest| rest.starts_with('/'))?;
            Some((address.clone(), format!("{new}{rest}")))
        };
        let moved: Vec<_> = addresses.iter().filter_map(moved).collect();
        for (old, new) in moved {
            addresses.remove(&old);
            addresses.insert(new);
        }
    }

    /// Something came from the client.
    pub fn renew(&mut self) {
        self.ends = (!self.lease.is_zero()).then(|| Instant::now() + self.lease);
    }

    /// Ends the subscriptions of a client that has not been heard for longer than its lease; whether there were any.
    pub fn expire(&mut self, now: Instant) -> bool {
        let expired = self.ends.is_some_and(|ends| ends <= now) && self.unsubscribe(None);
        if expired && self.is_empty() {
            *self = Self::default();
        }
        expired
    }

    /// Whether any subscription is to this address.
    pub fn wants(&self, address: &str) -> bool {
        self.subscriptions.iter().any(|own| own.wanted.has(address))
    }

    /// Whether any subscription is to meters.
    pub fn wants_meters(&self) -> bool {
        let is_meter = |text: &str| text.starts_with("/meter/");
        self.subscriptions.iter().any(|own| match &own.wanted {
            Wanted::Pattern(pattern) => is_meter(pattern.text()),
            Wanted::Addresses(addresses) => addresses.iter().any(|address| is_meter(address)),
        })
    }

    /// The patterns, or this one if it is there.
    pub fn patterns(&self, only: Option<&str>) -> Vec<String> {
        let texts = self.subscriptions.iter().filter_map(|own| own.wanted.pattern());
        texts.filter(|text| only.is_none_or(|only| only == *text)).map(ToOwned::to_owned).collect()
    }

    /// Notes the newest value of an address. Of several subscriptions to it the first tells it. Whether there was room.
    pub fn note(&mut self, address: &str, value: &[OscType]) -> bool {
        let waiting: usize = self.subscriptions.iter().map(|own| own.waiting.len()).sum();
        let own = self.subscriptions.iter_mut().find(|own| own.wanted.has(address));
        let Some(own) = own else { return true };
        let room = waiting < MOST_WAITING || own.waiting.contains_key(address);
        if room {
            own.waiting.insert(address.to_owned(), value.to_vec());
        }
        room
    }

    /// Forgets an address that is there no more.
    pub fn forget(&mut self, address: &str) {
        self.subscriptions.iter_mut().for_each(|own| drop(own.waiting.remove(address)));
        self.held.remove(address);
    }

    /// Notes that the client moves a control: it is not told of it before it has come to rest. Answers with the number
    /// of the setting.
    pub fn hold(&mut self, address: &str, asked: &[OscType]) -> u64 {
        self.serial += 1;
        if !self.is_empty() && (self.held.len() < MOST_HELD || self.held.contains_key(address)) {
            let held = Held { since: Instant::now(), serial: self.serial, asked: asked.to_vec() };
            self.held.insert(address.to_owned(), held);
        }
        self.serial
    }

    /// Notes what came of a setting: where it is not what was asked for, the client is told at once, unless it has
    /// moved the control on since.
    pub fn came(&mut self, address: &str, serial: u64, now: &[OscType]) {
        if self.held.get(address).is_some_and(|held| held.serial == serial && !is_same(&held.asked, now)) {
            self.held.remove(address);
            self.note(address, now);
        }
    }

    /// What is to be told now, `most` messages at most.
    pub fn due(&mut self, now: Instant, most: usize) -> Vec<OscMessage> {
        self.held.retain(|_, held| now < held.since + SETTLED);
        let mut due = Vec::new();
        for own in self.subscriptions.iter_mut().filter(|own| own.next <= now && !own.waiting.is_empty()) {
            let rests = |address: &&String| !self.held.contains_key(*address);
            let left = most - due.len();
            let addresses: Vec<_> = own.waiting.keys().filter(rests).take(left).cloned().collect();
            if !addresses.is_empty() {
                own.next = now + own.period;
            }
            due.extend(addresses.into_iter().filter_map(|addr| {
                let args = own.waiting.remove(&addr)?;
                Some(OscMessage { addr, args })
            }));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use OscType::Float;

    use super::*;

    fn feed(patterns: &[&str]) -> Feed {
        let mut feed = Feed::default();
        for pattern in patterns {
            assert!(feed.subscribe(Pattern::new(pattern).unwrap(), 10.0, Duration::from_secs(30)));
        }
        feed
    }

    fn told(feed: &mut Feed, now: Instant) -> Vec<(String, Vec<OscType>)> {
        feed.due(now, 100).into_iter().map(|message| (message.addr, message.args)).collect()
    }

    #[test]
    fn the_newest_value_is_told_at_the_rate_that_was_asked_for() {
        let mut feed = feed(&["/track/*/gain", "/track/drums/*"]);
        let now = Instant::now() + Duration::from_millis(1);
        for value in [1.0, 2.0, 3.0] {
            assert!(feed.note("/track/drums/gain", &[Float(value)]));
            feed.note("/track/drums/pan", &[Float(value)]);
            feed.note("/bus/drums/gain", &[Float(value)]);
        }
        let gain = |value| ("/track/drums/gain".to_owned(), vec![Float(value)]);
        assert_eq!(told(&mut feed, now), [gain(3.0), ("/track/drums/pan".to_owned(), vec![Float(3.0)])]);
        feed.note("/track/drums/gain", &[Float(4.0)]);
        assert_eq!(told(&mut feed, now + Duration::from_millis(99)), []);
        assert_eq!(told(&mut feed, now + Duration::from_millis(100)), [gain(4.0)]);
        assert!(feed.unsubscribe(Some("/track/*/gain")) && !feed.unsubscribe(Some("/track/*/gain")));
        assert!(feed.wants("/track/drums/gain") && !feed.wants("/track/bass/gain"));
    }

    #[test]
    fn who_moves_a_control_is_told_when_it_rests_or_at_once_where_it_is_elsewhere() {
        let mut feed = feed(&["/track/*/gain"]);
        let address = "/track/drums/gain";
        let begun = Instant::now();
        let first = feed.hold(address, &[Float(-3.0)]);
        let last = feed.hold(address, &[Float(20.0)]);
        feed.came(address, first, &[Float(-3.0)]);
        feed.note(address, &[Float(-3.0)]);
        assert_eq!(told(&mut feed, begun + Duration::from_millis(100)), [], "it moves");
        feed.came(address, last, &[Float(12.0)]);
        assert_eq!(
            told(&mut feed, begun + Duration::from_millis(101)),
            [(address.into(), vec![Float(12.0)])]
        );
        let same = feed.hold(address, &[Float(5.0)]);
        let held = Instant::now();
        feed.came(address, same, &[Float(5.0)]);
        feed.note(address, &[Float(5.0)]);
        assert_eq!(told(&mut feed, begun + Duration::from_millis(199)), []);
        assert_eq!(told(&mut feed, held + Duration::from_millis(301)), [(address.into(), vec![Float(5.0)])]);
    }

    #[test]
    fn a_lease_ends_unless_it_is_renewed() {
        let mut feed = feed(&["/a"]);
        let later = |seconds| Instant::now() + Duration::from_secs(seconds);
        assert!(!feed.expire(later(29)) && feed.expire(later(31)) && feed.is_empty());
        assert!(feed.subscribe(Pattern::new("/a").unwrap(), 1.0, Duration::ZERO));
        assert!(!feed.expire(later(1_000_000)));
    }

    #[test]
    fn what_is_listened_to_goes_with_its_node_and_has_no_end() {
        let mut feed = feed(&["/bus/*"]);
        let later = |seconds| Instant::now() + Duration::from_secs(seconds);
        assert!(feed.listen("/track/a/gain") && feed.listen("/track/a/pan") && feed.listen("/track/ab/gain"));
        assert!(feed.wants("/track/a/gain") && !feed.wants("/track/a/mute"));
        feed.note("/track/a/gain", &[Float(1.0)]);
        feed.follow("/track/a", "/track/b");
        assert!(!feed.wants("/track/a/gain") && feed.wants("/track/b/pan") && feed.wants("/track/ab/gain"));
        assert!(feed.expire(later(31)) && !feed.expire(later(62)) && !feed.is_empty());
        assert!(!feed.wants("/bus/x") && feed.wants("/track/b/gain") && feed.patterns(None).is_empty());
        feed.note("/track/b/pan", &[Float(1.0)]);
        feed.ignore("/track/b/pan");
        feed.forget("/track/a/gain");
        feed.note("/track/b/gain", &[Float(2.0)]);
        assert_eq!(told(&mut feed, later(1)), [("/track/b/gain".to_owned(), vec![Float(2.0)])]);
        let listened = (0..MOST_LISTENED + 10).filter(|n| feed.listen(&format!("/{n}"))).count();
        assert_eq!(listened, MOST_LISTENED - 2);
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut feed = feed(&["/*"]);
        let noted = (0..MOST_WAITING + 10).filter(|n| feed.note(&format!("/{n}"), &[])).count();
        assert_eq!(noted, MOST_WAITING);
        let patterns: Vec<_> = (0..MOST_SUBSCRIPTIONS + 10).map(|n| format!("/a{n}")).collect();
        let taken =
            patterns.iter().filter(|text| feed.subscribe(Pattern::new(text).unwrap(), 1.0, Duration::ZERO));
        assert_eq!(taken.count(), MOST_SUBSCRIPTIONS - 1);
        assert_eq!(feed.due(Instant::now(), 7).len(), 7);
    }
}
