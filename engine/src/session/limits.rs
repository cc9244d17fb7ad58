//! How large a session can be: generous, and refused with a reason instead of running out of memory.

use std::collections::BTreeMap;

use aulos_protocol::{Error, ErrorCode, NodeKind, Session, params};
use petgraph::visit::EdgeRef;

use crate::{
    compile::{self, Arrivals, Observed},
    graph::Graph,
};

/// The most nodes in a session.
pub const MAX_NODES: usize = 100_000;
/// The most links in a session.
pub const MAX_LINKS: usize = 1_000_000;
/// The most clips on a track.
pub const MAX_CLIPS: usize = 100_000;
/// The most commands in a batch.
pub const MAX_BATCH: usize = 10_000;
/// The most samples in all delays and delay lines together: 1 GiB.
const MAX_DELAYED: u64 = 1 << 28;

/// The refusal of one more than `most` of something.
pub fn full(what: &str, most: usize) -> Error {
    Error::new(ErrorCode::Unavailable, format!("there are {most} {what} already, and no more can be added"))
}

/// Checks the numbers of a session that comes from a file.
///
/// # Errors
/// `InvalidArgument` with what there is too much of.
pub fn check_counts(session: &Session) -> Result<(), Error> {
    let most_clips = session.nodes.values().map(|node| node.clips.len()).max().unwrap_or(0);
    for (what, count, most) in [
        ("nodes", session.nodes.len(), MAX_NODES),
        ("links", session.links.len(), MAX_LINKS),
        ("clips on a track", most_clips, MAX_CLIPS),
    ] {
        if count > most {
            return Err(Error::new(ErrorCode::InvalidArgument, format!("the session has {count} {what}"))
                .expected(format!("at most {most}")));
        }
    }
    Ok(())
}

/// Checks what a patch without cycles asks of time and memory: its latencies, the loops of its feedbacks, and how
/// much its delays take, those that align it included.
///
/// # Errors
/// `OutOfRange` with how much it would be.
pub fn check_delays(session: &Session, graph: &Graph) -> Result<(), Error> {
    let arrivals = compile::arrivals(graph, session, &Observed::default());
    compile::check(session, &arrivals)?;
    check_memory(session, graph, &arrivals)
}

/// Checks how much memory the delays of a patch take, those that align it included.
///
/// # Errors
/// `OutOfRange` with how much it would be.
pub fn check_memory(session: &Session, graph: &Graph, arrivals: &Arrivals) -> Result<(), Error> {
    let delays = session.nodes.values().filter(|n| matches!(n.kind, NodeKind::Delay | NodeKind::Feedback));
    let own =
        delays.map(|node| params::number(node, "frames").unwrap_or(0.0) as u64 * u64::from(node.channels));
    let mut total: u64 = own.sum();
    let mut lines = BTreeMap::new();
    for edge in graph.graph.edge_references() {
        let (delay, _) = arrivals.delay(&edge);
        if delay > 0 {
            let line: &mut u64 = lines.entry((edge.source(), edge.weight().output)).or_default();
            *line = delay.max(*line);
        }
    }
    total += lines.values().sum::<u64>();
    if total <= MAX_DELAYED {
        return Ok(());
    }
    let mib = |samples: u64| samples >> 18;
    Err(Error::new(
        ErrorCode::OutOfRange,
        format!("the delays of this patch, those that align it included, would take {} MiB", mib(total)),
    )
    .expected(format!("at most {} MiB", mib(MAX_DELAYED)))
    .remedy("use fewer or shorter delays, or delays that do not report"))
}

#[cfg(test)]
mod tests {
    use aulos_protocol::{Command, NewNode, Rate, Value};

    use super::*;
    use crate::session::{apply, validate};

    #[test]
    fn a_patch_whose_delays_take_too_much_memory_is_refused() {
        let params = [("frames", Value::Number(480_000.0)), ("report", Value::Switch(true))];
        let delay = |n: usize| {
            Command::AddNode(NewNode {
                kind: NodeKind::Delay,
                name: Some(format!("d{n}")),
                channels: Some(1),
                params: params.map(|(name, value)| (name.to_owned(), value)).into(),
            })
        };
        let link = |n: usize| Command::Link {
            from: format!("d{n}").parse().unwrap(),
            to: format!("d{}", n + 1).parse().unwrap(),
            gain: None,
        };
        let empty = Session::new("test", Rate::default());
        let chain = |len: usize| {
            let commands = (0..len).map(delay).chain((0..len - 1).map(link)).collect();
            apply(&empty, &Command::Batch { commands })
        };
        let (fits, _) = chain(500).unwrap();
        validate(&fits).unwrap();
        assert_eq!(chain(600).unwrap_err().code, ErrorCode::OutOfRange);
        // The delays themselves fit, but not the line that would align a path beside them.
        let direct = Command::Link { from: "d0".parse().unwrap(), to: "d499".parse().unwrap(), gain: None };
        let refused = apply(&fits, &direct).unwrap_err();
        assert!(refused.message.contains("MiB") && refused.remedy.is_some(), "{refused:?}");
    }

    #[test]
    fn a_long_chain_is_no_trouble_and_neither_is_closing_it() {
        const LENGTH: usize = 40_000;
        let new = |at| NewNode {
            kind: NodeKind::Send,
            name: Some(format!("s{at}")),
            channels: Some(2),
            params: Default::default(),
        };
        let link = |from: usize, to: usize| Command::Link {
            from: format!("s{from}").parse().unwrap(),
            to: format!("s{to}").parse().unwrap(),
            gain: None,
        };
        let nodes = (0..LENGTH).map(|at| Command::AddNode(new(at)));
        // A few pieces, as checking a piece costs what there is already.
        let commands: Vec<_> = nodes.chain((1..LENGTH).map(|at| link(at - 1, at))).collect();
        let mut session = Session::new("test", Rate::default());
        for commands in commands.chunks(MAX_BATCH) {
            session = apply(&session, &Command::Batch { commands: commands.to_vec() }).unwrap().0;
        }
        validate(&session).unwrap();
        let refused = apply(&session, &link(LENGTH - 1, 0)).unwrap_err();
        assert_eq!((refused.code, refused.path.len()), (ErrorCode::Cycle, LENGTH + 1));
    }

    #[test]
    fn adding_many_nodes_without_names_takes_no_time_to_speak_of() {
        let new = NewNode { kind: NodeKind::Bus, name: None, channels: None, params: Default::default() };
        let commands = vec![Command::AddNode(new); 3000];
        let empty = Session::new("test", Rate::default());
        let (session, outcome) = apply(&empty, &Command::Batch { commands }).unwrap();
        assert_eq!((session.nodes.len(), outcome.nodes[2999].as_str()), (3000, "bus-3000"));
    }
}
