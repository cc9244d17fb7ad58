//! `analyze`: what a strip sounds like, in numbers.

use std::time::Duration;

use aulos_protocol::{Analysis, Query, Reply, client::unexpected};

use crate::{
    args::Analyze,
    context::Context,
    failure::Failure,
    paint::Style,
    text::{Side, Table},
};

/// Listens, and prints what was heard.
///
/// # Errors
/// The server's refusal.
pub fn run(cx: &mut Context, Analyze { node, seconds }: Analyze) -> Result<(), Failure> {
    // An answer takes as long as is listened, on top of what any answer may take.
    let listening = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let timeout = cx.timeout().and_then(|timeout| timeout.checked_add(listening));
    cx.client()?.set_timeout(timeout)?;
    match cx.query_or_print(Query::Analyze { node, seconds })? {
        None => Ok(()),
        Some(Reply::Analysis(analysis)) => {
            let paint = cx.out.paint();
            cx.out.lines(table(&analysis).lines(paint))
        }
        Some(_) => Err(unexpected("an analysis").into()),
    }
}

fn table(analysis: &Analysis) -> Table {
    let db =
        |value: Option<f64>, unit: &str| value.map_or("none".into(), |value| format!("{value:.2} {unit}"));
    let mut table = Table::new(&[Side::Left, Side::Right]);
    let mut row = |name: String, value: String| table.row([(name, Style::Plain), (value, Style::Plain)]);
    row("heard".into(), format!("{:.3} s", analysis.seconds));
    if analysis.lost > 0 {
        row("missed".into(), format!("{} frames", analysis.lost));
    }
    for (name, value, unit) in [
        ("peak", analysis.peak_db, "dBFS"),
        ("true peak", analysis.true_peak_db, "dBTP"),
        ("RMS", analysis.rms_db, "dBFS"),
        ("integrated", analysis.integrated_lufs, "LUFS"),
        ("loudest 0.4 s", analysis.loudest_momentary_lufs, "LUFS"),
        ("loudness range", analysis.loudness_range_lu, "LU"),
    ] {
        row(name.into(), db(value, unit));
    }
    for (channel, levels) in (1..).zip(&analysis.channels) {
        let (peak, rms) = (db(levels.peak_db, "dBFS"), db(levels.rms_db, "dBFS"));
        row(format!("channel {channel}"), format!("peak {peak}, RMS {rms}, offset {:.6}", levels.dc));
    }
    for band in &analysis.bands {
        row(format!("{} Hz", band.hz), db(band.db, "dB"));
    }
    table
}
