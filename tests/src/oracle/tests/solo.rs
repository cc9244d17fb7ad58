//! What is heard while strips are soloed.

use super::*;

/// One input; strips are added with what is on about them, and linked by their names.
struct Desk(Patch);

impl Desk {
    fn new() -> Self {
        let mut patch = mono(&[1.0]);
        patch.add("out", NodeKind::Output, 1, &[]);
        Self(patch)
    }

    fn add(&mut self, kind: NodeKind, name: &str, on: &[&str]) {
        let params: Vec<_> = on.iter().map(|name| (*name, 1.0)).collect();
        self.0.add(name, kind, 1, &params);
    }

    fn tracks(&mut self, names: &[(&str, &[&str])]) {
        names.iter().for_each(|(name, on)| self.add(NodeKind::Track, name, on));
    }

    fn buses(&mut self, names: &[(&str, &[&str])]) {
        names.iter().for_each(|(name, on)| self.add(NodeKind::Bus, name, on));
    }

    /// Links the named nodes one after the other.
    fn chain(&mut self, names: &[&str]) {
        for pair in names.windows(2) {
            let out = |name: &str| {
                let node = self.0.session.node(name).unwrap();
                if matches!(node.kind, NodeKind::Track | NodeKind::Bus) { "out_L" } else { "out_1" }
            };
            let from =
                if pair[0].contains(':') { pair[0].into() } else { format!("{}:{}", pair[0], out(pair[0])) };
            let to = if pair[1].contains(':') { pair[1].into() } else { format!("{}:in_1", pair[1]) };
            self.0.link(&from, &to, 0.0);
        }
    }

    /// The links that are shut, as `from>to`.
    fn shut(&self) -> Vec<String> {
        let session = &self.0.session;
        let Wiring { stages, .. } = wiring::wire(session);
        let shut = stages.iter().flat_map(|stage| stage.terms()).filter(|term| term.gain == 0.0);
        let mut links: Vec<_> = shut.filter_map(|term| term.link).collect();
        links.sort();
        let name = |port: &PortRef| session.nodes[&port.node].slug.to_string();
        let links = links.into_iter().map(|link| &session.links[&link]);
        links.map(|link| format!("{}>{}", name(&link.from), name(&link.to))).collect()
    }
}

#[test]
fn without_a_soloed_strip_everything_passes() {
    let mut desk = Desk::new();
    desk.tracks(&[("a", &["solo_safe"]), ("b", &[])]);
    desk.chain(&["in", "a", "out"]);
    desk.chain(&["in", "b", "out"]);
    assert_eq!(desk.shut(), [""; 0]);
}

#[test]
fn what_leads_to_and_from_a_soloed_strip_passes() {
    let mut desk = Desk::new();
    desk.tracks(&[("a", &["solo"]), ("b", &[])]);
    desk.buses(&[("sum", &[])]);
    desk.add(NodeKind::Master, "main", &[]);
    desk.chain(&["in", "a", "sum", "main", "out"]);
    desk.chain(&["in", "b", "sum"]);
    assert_eq!(desk.shut(), ["in>b", "b>sum"]);
    assert_eq!(desk.0.evaluate(1).playback[0][0], {
        let half = std::f64::consts::FRAC_PI_4.cos() as f32;
        half * half
    });

    let mut desk = Desk::new();
    desk.tracks(&[("a", &[]), ("b", &[]), ("c", &[])]);
    desk.buses(&[("sum", &["solo"]), ("other", &[])]);
    desk.add(NodeKind::Master, "main", &[]);
    desk.chain(&["in", "a", "sum", "main", "out"]);
    desk.chain(&["in", "b", "sum"]);
    desk.chain(&["in", "c", "other", "main"]);
    // `a` leads to the soloed bus, so its way in passes; its way past the bus does not.
    desk.chain(&["a", "other"]);
    assert_eq!(desk.shut(), ["in>c", "c>other", "other>main", "a>other"]);
}

#[test]
fn two_soloed_strips_are_both_heard() {
    let mut desk = Desk::new();
    desk.tracks(&[("a", &["solo"]), ("b", &["solo"]), ("c", &[])]);
    for name in ["a", "b", "c"] {
        desk.chain(&["in", name, "out"]);
    }
    assert_eq!(desk.shut(), ["in>c", "c>out"]);
}

#[test]
fn a_link_that_is_silent_anyway_leads_somewhere() {
    let mut desk = Desk::new();
    desk.tracks(&[("a", &["solo"])]);
    desk.buses(&[("sum", &[])]);
    desk.chain(&["sum", "out"]);
    desk.chain(&["in", "sum"]);
    assert_eq!(desk.shut(), ["sum>out", "in>sum"]);
    desk.0.link("a:out_L", "sum:in_1", f64::NEG_INFINITY);
    assert_eq!(desk.shut(), ["in>sum", "a>sum"]);
}

#[test]
fn what_comes_from_a_safe_strip_passes_and_so_does_what_feeds_it() {
    let mut desk = Desk::new();
    desk.tracks(&[("solo", &["solo"]), ("safe", &["solo_safe"]), ("c", &[])]);
    desk.buses(&[("sum", &[]), ("inner", &[])]);
    desk.chain(&["in", "solo", "out"]);
    // Rule 2, also through the bus behind it; rule 3 for what enters it without a strip on its way.
    desk.chain(&["in", "safe", "sum", "out"]);
    // The bus in front of it is a strip of its own, and so is what feeds that.
    desk.chain(&["in", "inner", "safe"]);
    desk.chain(&["in", "c", "sum"]);
    assert_eq!(desk.shut(), ["in>inner", "inner>safe", "in>c", "c>sum"]);
}

#[test]
fn a_safe_output_hears_what_comes_without_a_strip() {
    let mut desk = Desk::new();
    desk.tracks(&[("solo", &["solo"]), ("a", &[])]);
    desk.add(NodeKind::Send, "send", &[]);
    desk.add(NodeKind::Delay, "late", &[]);
    desk.chain(&["in", "solo", "out"]);
    desk.chain(&["in", "late", "out"]);
    desk.0.link("in:out_1", "send:in_1", 0.0);
    desk.0.link("send:out_L", "out:in_1", 0.0);
    // A send is no strip, but the track in front of it is.
    desk.0.link("a:pre_1", "send:in_1", 0.0);
    desk.0.link("in:out_1", "a:in_1", 0.0);
    assert_eq!(desk.shut(), ["a>send", "in>a"]);
    // What leaves the track before its strip does pass, and so what goes in there.
    desk.0.link("a:insert_out_1", "late:in_1", 0.0);
    desk.0.link("a:out_L", "out:in_1", 0.0);
    assert_eq!(desk.shut(), ["a>send", "a>out"]);

    // Without solo-safe nothing of it does.
    let mut desk = Desk::new();
    desk.0.add("open", NodeKind::Output, 1, &[("solo_safe", 0.0)]);
    desk.tracks(&[("solo", &["solo"])]);
    desk.chain(&["in", "open"]);
    desk.chain(&["in", "out"]);
    desk.chain(&["in", "solo", "open"]);
    assert_eq!(desk.shut(), ["in>open"]);
}

#[test]
fn the_master_is_a_strip_that_is_never_soloed() {
    let mut desk = Desk::new();
    desk.tracks(&[("solo", &["solo"])]);
    desk.add(NodeKind::Master, "main", &[]);
    desk.chain(&["in", "main", "out"]);
    assert_eq!(desk.shut(), ["in>main", "main>out"]);
    desk.chain(&["solo", "main"]);
    assert_eq!(desk.shut(), ["in>main"]);
}

#[test]
fn a_safe_click_is_heard_wherever_it_goes() {
    for (is_safe, expected) in [(1.0, vec!["in>sum"]), (0.0, vec!["click>sum", "sum>out", "in>sum"])] {
        let mut desk = Desk::new();
        desk.0.add("click", NodeKind::Click, 1, &[("solo_safe", is_safe)]);
        desk.tracks(&[("solo", &["solo"])]);
        desk.buses(&[("sum", &[])]);
        desk.chain(&["click", "sum", "out"]);
        desk.chain(&["in", "sum"]);
        desk.chain(&["click", "out"]);
        assert_eq!(desk.shut(), expected);
    }
}

#[test]
fn messages_always_pass_and_lead_somewhere() {
    for (is_safe, expected) in [(1.0, vec![]), (0.0, vec!["tone>sum", "sum>out"])] {
        let mut desk = Desk::new();
        desk.0.add("click", NodeKind::Click, 1, &[("solo_safe", is_safe)]);
        desk.add(NodeKind::Tone, "tone", &["notes"]);
        desk.tracks(&[("solo", &["solo"])]);
        desk.buses(&[("sum", &[])]);
        desk.0.link("click:midi_out", "tone:midi_in", 0.0);
        desk.chain(&["tone", "sum", "out"]);
        assert_eq!(desk.shut(), expected);
    }
}

#[test]
fn solo_reaches_across_a_feedback() {
    let mut desk = Desk::new();
    desk.add(NodeKind::Bus, "solo", &["solo"]);
    desk.buses(&[("before", &[]), ("behind", &[])]);
    for name in ["to", "from"] {
        desk.0.add(name, NodeKind::Feedback, 1, &[]);
    }
    desk.chain(&["before", "to", "solo", "from", "behind", "out"]);
    desk.chain(&["before", "behind"]);
    assert_eq!(desk.shut(), ["before>behind"]);
}

#[test]
fn a_shut_insert_is_patched_nevertheless() {
    let mut desk = Desk::new();
    desk.tracks(&[("solo", &["solo"]), ("a", &[])]);
    desk.0.add("late", NodeKind::Delay, 1, &[("frames", 3.0), ("report", 1.0)]);
    desk.buses(&[("other", &[])]);
    desk.chain(&["in", "solo", "out"]);
    desk.chain(&["in", "late", "a:insert_in_1"]);
    desk.chain(&["in", "a", "out"]);
    assert_eq!(desk.shut(), ["in>late", "late>a", "in>a", "a>out"]);
    let half = std::f64::consts::FRAC_PI_4.cos() as f32;
    // Delays stay as they are.
    assert_eq!(desk.0.evaluate(5).playback[0], [0.0, 0.0, 0.0, half, 0.0]);
    assert_eq!(desk.0.arrival("a", "strip"), 3);
}
