//! `latency`: when everything is heard.

use std::collections::BTreeMap;

use aulos_protocol::{Frames, LatencyReport, LinkLatency, Query, Reply, Unaligned, client::unexpected};

use crate::{
    context::Context,
    failure::Failure,
    paint::{Paint, Style},
    text::{Side, Table, plain},
    values::show_gain,
};

/// Prints the latency of every stage and link.
///
/// # Errors
/// That the server cannot be reached.
pub fn run(cx: &mut Context) -> Result<(), Failure> {
    match cx.query_or_print(Query::Latency)? {
        None => Ok(()),
        Some(Reply::Latency(report)) => {
            let paint = cx.out.paint();
            cx.out.lines(lines(&report, paint))
        }
        Some(_) => Err(unexpected("the latencies").into()),
    }
}

fn lines(report: &LatencyReport, paint: Paint) -> Vec<String> {
    let ms = |frames| format!("{:.2} ms", report.rate.seconds(frames) * 1000.0);
    // What adds nothing steps back, so that what adds something stands out.
    let style = |frames: u64| if frames == 0 { Style::Dim } else { Style::Plain };
    let right = [Side::Right; 4];
    let mut stages = Table::new(&[&[Side::Left, Side::Left], &right[..]].concat());
    stages.heading(&["node", "stage", "arrival", "", "adds", ""]);
    for row in &report.stages {
        let (arrival, adds) = (style(row.arrival.0), style(row.latency.0));
        stages.row([
            (plain(&row.node).into_owned(), Style::Bold),
            (plain(&row.stage).into_owned(), Style::Plain),
            (row.arrival.to_string(), arrival),
            (ms(row.arrival), arrival),
            (row.latency.to_string(), adds),
            (ms(row.latency), adds),
        ]);
    }
    let mut lines = stages.lines(paint);
    if !report.links.is_empty() {
        let mut links = Table::new(&[&[Side::Left; 3], &right[..], &[Side::Left]].concat());
        links.heading(&["link", "", "", "links", "gain", "delay", ""]);
        for row in bundles(&report.links) {
            let delay = style(row.first.delay.0);
            links.row([
                (plain(row.from).into_owned(), Style::Plain),
                ("→".to_owned(), Style::Dim),
                (plain(row.to).into_owned(), Style::Plain),
                (row.links.to_string(), Style::Dim),
                (show_gain(row.first.gain), Style::Dim),
                (row.first.delay.to_string(), delay),
                (ms(row.first.delay), delay),
            ]);
        }
        lines.push(String::new());
        lines.extend(links.lines(paint));
    }
    if !report.unaligned.is_empty() {
        let mut table =
            Table::new(&[Side::Left, Side::Left, Side::Left, Side::Right, Side::Right, Side::Left]);
        table.heading(&["not aligned, for low_latency_monitor", "", "", "by", "", ""]);
        for (from, to, early) in unaligned(&report.unaligned) {
            let by = Frames(early.unsigned_abs());
            table.row([
                (plain(from).into_owned(), Style::Plain),
                ("→".to_owned(), Style::Dim),
                (plain(to).into_owned(), Style::Plain),
                (by.to_string(), Style::Plain),
                (ms(by), Style::Plain),
                (if early > 0 { "early" } else { "late" }.to_owned(), Style::Warn),
            ]);
        }
        lines.push(String::new());
        lines.extend(table.lines(paint));
    }
    let total = format!("{} frames ({})", report.total, ms(report.total));
    lines.push(String::new());
    lines.push(format!("latency of the outputs: {}", paint.bold(&total)));
    lines
}

/// Links between the same groups with the same gain and delay.
struct Bundle<'a> {
    from: &'a str,
    to: &'a str,
    links: usize,
    first: &'a LinkLatency,
}

/// The links, those that say the same in one row, in the order of the first of each.
fn bundles(links: &[LinkLatency]) -> Vec<Bundle<'_>> {
    let mut places = BTreeMap::new();
    let mut rows: Vec<Bundle> = Vec::new();
    for link in links {
        let (from, to) = (group(&link.from), group(&link.to));
        let place = *places.entry((from, to, link.delay, link.gain.get().to_bits())).or_insert_with(|| {
            rows.push(Bundle { from, to, links: 0, first: link });
            rows.len() - 1
        });
        rows[place].links += 1;
    }
    for row in rows.iter_mut().filter(|row| row.links == 1) {
        (row.from, row.to) = (&row.first.from, &row.first.to);
    }
    rows
}

/// What is not aligned, ports of the same groups once where they are early or late by the same.
fn unaligned(links: &[Unaligned]) -> Vec<(&str, &str, i64)> {
    let key = |link: &Unaligned| (group(&link.from).to_owned(), group(&link.to).to_owned(), link.early);
    let mut counts = BTreeMap::new();
    links.iter().for_each(|link| *counts.entry(key(link)).or_insert(0) += 1);
    let rows = links.iter().filter_map(|link| match counts.remove(&key(link))? {
        1 => Some((&*link.from, &*link.to, link.early)),
        _ => Some((group(&link.from), group(&link.to), link.early)),
    });
    rows.collect()
}

/// The group of a port: its name without the channel.
fn group(port: &str) -> &str {
    match port.rsplit_once('_') {
        Some((group, channel))
            if channel == "L" || channel == "R" || channel.bytes().all(|b| b.is_ascii_digit()) =>
        {
            group
        }
        _ => port,
    }
}

#[cfg(test)]
mod tests {
    use aulos_protocol::{Decibels, LatencyRow, Rate};

    use super::*;
    use crate::samples::snapshot;

    #[test]
    fn latencies_are_two_tables_and_a_total() {
        let row = |node: &str, stage: &str, arrival, latency| LatencyRow {
            node: node.into(),
            stage: stage.into(),
            arrival: Frames(arrival),
            latency: Frames(latency),
        };
        let link = |from: &str, to: &str, delay, gain| LinkLatency {
            from: from.into(),
            to: to.into(),
            delay: Frames(delay),
            gain: Decibels::new(gain).unwrap(),
        };
        let early = |from: &str, to: &str, early| Unaligned { from: from.into(), to: to.into(), early };
        let report = LatencyReport {
            rate: Rate::default(),
            total: Frames(480),
            stages: vec![
                row("drums", "player", 0, 0),
                row("drums", "strip", 0, 0),
                row("late", "delay", 0, 480),
                row("master", "strip", 480, 0),
            ],
            links: vec![
                link("drums:out_L", "master:in_L", 480, 0.0),
                link("drums:out_R", "master:in_R", 480, 0.0),
                link("drums:pre_L", "late:in_L", 0, -6.0),
                link("late:out_L", "master:in_L", 0, f64::NEG_INFINITY),
                link("late:out_R", "master:in_R", 0, f64::NEG_INFINITY),
            ],
            unaligned: vec![
                early("voice:out_L", "master:in_L", 480),
                early("voice:out_R", "master:in_R", 480),
                early("late:out_L", "voice:in_L", -480),
            ],
        };
        snapshot("latency", &lines(&report, Paint::off()).join("\n"));
        assert_eq!(group("a_b:out_12"), "a_b:out");
        assert_eq!(group("a_b:insert_out"), "a_b:insert_out");
    }
}
