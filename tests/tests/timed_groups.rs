//! Timed changes of VCAs and groups that act on one strip: each holds at its own frame, in whatever order they are said.

use std::collections::BTreeMap;

use aulos_engine::Start;
use aulos_protocol::{Command, Decibels, NodeKind};
use aulos_tests::{
    commands::{add, link, link_at, members, session, set},
    random::Rng,
    stepped::{Files, Stepped},
};

#[global_allocator]
static GUARD: assert_no_alloc::AllocDisabler = assert_no_alloc::AllocDisabler;

/// Ones through two strips, one of which is 100 frames late, that are members of two VCAs and two groups.
fn controlled() -> Stepped {
    let fade = Command::SetSession {
        name: None,
        tempo: None,
        signature: None,
        edit_fade_ms: Some(0.0),
        max_latency_ms: None,
    };
    let mut commands = vec![
        fade,
        add(NodeKind::Input, "ones", 1, &[]),
        add(NodeKind::Delay, "late", 1, &[("frames", LATE as f64), ("report", 1.0)]),
        link("ones", "late"),
    ];
    for (nth, (strip, from)) in [("early-bus", "ones"), ("late-bus", "late")].into_iter().enumerate() {
        let output = format!("out{nth}");
        commands.extend([
            add(NodeKind::Bus, strip, 2, &[]),
            add(NodeKind::Output, &output, 1, &[("first_channel", nth as f64 + 1.0), ("align_group", 0.0)]),
            link_at(from, &format!("{strip}:in_L"), 0.0),
            link(&format!("{strip}:out_L"), &output),
        ]);
    }
    for (kind, name) in
        [(NodeKind::Vca, "v1"), (NodeKind::Vca, "v2"), (NodeKind::Group, "g1"), (NodeKind::Group, "g2")]
    {
        commands.extend([add(kind, name, 1, &[]), members(name, &["early-bus", "late-bus"])]);
    }
    Stepped::new(session(commands), Files::default(), vec![vec![1.0; 40_000]], 2, 64, Start::default())
}

/// How late the second strip of [`controlled`] is.
const LATE: usize = 100;

fn factor(db: f64) -> f32 {
    Decibels::new(db).unwrap().factor()
}

#[test]
fn vcas_and_groups_of_one_strip_change_each_at_its_own_frame() {
    // In either order, and with something said in between.
    for swapped in [false, true] {
        let mut engine = controlled();
        let mut timed = [
            (set("v1", "gain", -6.0), 1000),
            (set("v2", "gain", -3.0), 2000),
            (set("g1", "mute", 1.0), 3000),
        ];
        if swapped {
            timed.reverse();
        }
        timed.iter().for_each(|(command, at)| engine.perform_at(command, *at).unwrap());
        engine.run_to(500, || 64);
        engine.perform(&set("g2", "mute", 1.0)).unwrap();
        engine.run_to(700, || 64);
        engine.perform(&Command::Undo).unwrap();
        engine.run_to(2500, || 64);
        engine.perform(&set("v2", "gain", -12.0)).unwrap();
        engine.run_to(4000, || 64);
        let mut steps =
            vec![(500, 0.0), (700, 1.0), (1000, factor(-6.0)), (2000, factor(-9.0)), (2500, factor(-18.0))];
        steps.push((3000, 0.0));
        for (channel, late) in [0, LATE].into_iter().enumerate() {
            let mut heard = engine.played()[channel][late..].to_vec();
            heard.dedup();
            let wanted: Vec<f32> = [1.0].into_iter().chain(steps.iter().map(|(_, value)| *value)).collect();
            assert_eq!(heard, wanted, "{swapped} {channel}");
            for (at, value) in &steps {
                // What is said for now holds now, wherever stage time is.
                let at = if [500, 700, 2500].contains(at) { *at } else { at + late };
                let played = &engine.played()[channel];
                assert!(played[at - 1] != *value && played[at] == *value, "{swapped} {channel} {at}");
            }
        }
    }
}

#[test]
fn a_group_that_is_muted_before_one_that_was_to_be_muted_first_mutes_at_its_frame() {
    let mut engine = controlled();
    engine.perform_at(&set("g1", "mute", 1.0), 2000).unwrap();
    engine.perform_at(&set("g2", "mute", 1.0), 1000).unwrap();
    engine.perform_at(&set("g2", "mute", 0.0), 3000).unwrap();
    engine.perform_at(&set("g1", "mute", 0.0), 1500).unwrap();
    engine.run_to(4000, || 64);
    let played = &engine.played()[0];
    let steps: Vec<_> = (1..4000).filter(|n| played[*n] != played[n - 1]).map(|n| (n, played[n])).collect();
    assert_eq!(steps, [(1000, 0.0), (3000, 1.0)]);
}

#[test]
fn what_is_told_again_takes_no_more_room() {
    let mut engine = controlled();
    let step = |nth: usize| (-1.0 - nth as f64 / 100.0, 10_000 + nth * 7);
    for (gain, at) in (0..200).map(step) {
        engine.perform_at(&set("v1", "gain", gain), at).unwrap();
    }
    // Each of these moves all that is to come.
    for nth in 0..20 {
        engine.perform_at(&set("v2", "gain", -1.0 - nth as f64), 5000 - nth * 10).unwrap();
        engine.perform(&set("v2", "gain", -2.0)).unwrap();
    }
    let taken = (0..200).take_while(|n| {
        engine.perform_at(&set("g1", "mute", f64::from(1 - n % 2)), 20_000 + *n as usize).is_ok()
    });
    assert_eq!(taken.count(), 256 - 200);
    engine.run_to(20_000, || 64);
    let played = &engine.played()[1];
    for (gain, at) in (0..200).map(step) {
        assert_eq!(played[at + LATE], factor(gain - 2.0), "{at}");
    }
    assert_eq!(engine.controller.counters().hurried(), 0);
}

/// A value that strips are made of, as it is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Gain(&'static str),
    Mute(&'static str),
    /// Whether the strips are members.
    Member(&'static str),
}

use Part::{Gain, Mute};

impl Part {
    const ALL: [Self; 7] =
        [Gain("v1"), Gain("v2"), Mute("v1"), Mute("g1"), Mute("g2"), Self::Member("v2"), Self::Member("g1")];

    fn begins(self) -> f64 {
        f64::from(u8::from(matches!(self, Self::Member(_))))
    }

    fn draw(self, rng: &mut Rng) -> f64 {
        if let Gain(_) = self { rng.tenths(-120, 60) } else { f64::from(u8::from(rng.percent(30))) }
    }

    fn command(self, value: f64) -> Command {
        let nodes = || vec!["early-bus".into(), "late-bus".into()];
        match self {
            Gain(name) => set(name, "gain", value),
            Mute(name) => set(name, "mute", value),
            Self::Member(name) if value == 1.0 => members(name, &["early-bus", "late-bus"]),
            Self::Member(name) => Command::RemoveMembers { group: name.into(), nodes: nodes() },
        }
    }
}

/// What a strip should hear, frame by frame.
struct Strip {
    late: usize,
    now: BTreeMap<Part, f64>,
    to_come: Vec<(usize, Part, f64)>,
}

impl Strip {
    fn say(&mut self, part: Part, value: f64, at: Option<usize>) {
        self.to_come.retain(|(frame, other, _)| *other != part || at.is_some_and(|at| *frame < at));
        match at {
            Some(at) => self.to_come.push((at, part, value)),
            None => drop(self.now.insert(part, value)),
        }
    }

    fn level(&mut self, frame: usize) -> f32 {
        let late = self.late;
        for (_, part, value) in self.to_come.extract_if(.., |(at, ..)| *at + late <= frame) {
            self.now.insert(part, value);
        }
        let of = |part| self.now.get(&part).copied().unwrap_or(1.0);
        let is_muted = [("v1", 1.0), ("g1", of(Part::Member("g1"))), ("g2", 1.0)];
        if is_muted.into_iter().any(|(name, member)| of(Mute(name)) * member == 1.0) {
            return 0.0;
        }
        factor(of(Gain("v1")) + of(Gain("v2")) * of(Part::Member("v2")))
    }
}

#[test]
fn whatever_is_said_of_vcas_and_groups_each_part_holds_at_its_own_frame() {
    let mut levels = 0;
    for seed in 0..150 {
        let mut rng = Rng::new(900 + seed);
        let mut engine = controlled();
        let mut strips = [0, LATE].map(|late| Strip {
            late,
            now: Part::ALL.map(|part| (part, part.begins())).into(),
            to_come: Vec::new(),
        });
        let mut wanted = [Vec::new(), Vec::new()];
        // What the session says, and what undo goes back to.
        let mut said: BTreeMap<Part, f64> = strips[0].now.clone();
        let mut history = Vec::new();
        for _ in 0..60 {
            let now = engine.frame();
            let (part, mut at) = (*rng.pick(&Part::ALL), None);
            let value = part.draw(&mut rng);
            if rng.percent(15) && !history.is_empty() {
                let (part, value) = history.pop().unwrap();
                engine.perform(&Command::Undo).unwrap();
                said.insert(part, value);
                strips.iter_mut().for_each(|strip| strip.say(part, value, None));
            } else if said[&part] != value {
                if rng.percent(75) {
                    at = Some(now + rng.range(0, 1200) as usize);
                }
                match at {
                    Some(at) => engine.perform_at(&part.command(value), at).unwrap(),
                    None => drop(engine.perform(&part.command(value)).unwrap()),
                }
                history.push((part, said.insert(part, value).unwrap()));
                strips.iter_mut().for_each(|strip| strip.say(part, value, at));
            }
            let block = rng.range(1, 300) as usize;
            engine.run_to(now + rng.below(400) as usize, || block);
            for (strip, wanted) in strips.iter_mut().zip(&mut wanted) {
                wanted.extend((now..engine.frame()).map(|frame| strip.level(frame)));
            }
        }
        for ((played, wanted), late) in engine.played().iter().zip(&mut wanted).zip([0, LATE]) {
            wanted[..late].fill(0.0);
            let wrong = (0..wanted.len()).find(|n| (played[*n] - wanted[*n]).abs() > 1e-6);
            assert_eq!(wrong.map(|n| (n, played[n], wanted[n])), None, "seed {seed}, {late} frames late");
            wanted.dedup();
            levels += wanted.len();
        }
        assert_eq!(engine.controller.counters().hurried(), 0);
    }
    assert!(levels > 3000, "only {levels} levels");
}
