//! `locate`, `loop`, `tempo` and `step`.

use aulos_protocol::{Bpm, Command, Error, ErrorCode, LoopRange, Range};
use serde_json::json;

use crate::{
    args,
    args::Tempo,
    context::{Context, clock_of},
    failure::Failure,
    position::{Clock, Position},
    text::count,
    values,
};

/// Moves the transport.
///
/// # Errors
/// The server's refusal.
pub fn locate(cx: &mut Context, position: Position) -> Result<(), Failure> {
    let position = cx.frames(position)?;
    cx.change(Command::Locate { position }, |_, cx| Ok(format!("at {}", cx.clock()?.both(position))))
}

/// Sets, clears or prints the loop.
///
/// # Errors
/// A position that cannot be read, or the server's refusal.
pub fn set_loop(cx: &mut Context, args: &args::Loop) -> Result<(), Failure> {
    match (args.start.as_deref(), args.end) {
        (None, _) => print_loop(cx),
        (Some("off"), None) => {
            cx.change(Command::Loop { start: None, end: None }, |_, _| Ok("loop off".into()))
        }
        (Some(start), Some(end)) => {
            let start = start.parse::<Position>().map_err(Failure::usage)?;
            let (start, end) = (cx.frames(start)?, cx.frames(end)?);
            cx.change(Command::Loop { start: Some(start), end: Some(end) }, |_, cx| {
                Ok(loop_text(cx.clock()?, Some((start, end))))
            })
        }
        (Some(start), None) => {
            let error = Error::new(ErrorCode::InvalidArgument, format!("the loop from {start} has no end"));
            Err(Failure::Usage(error.expected("START END, or off")))
        }
    }
}

fn print_loop(cx: &mut Context) -> Result<(), Failure> {
    let status = cx.status()?;
    let range = status.loop_range;
    if cx.out.is_json() {
        return cx.out.json(&json!({ "loop_range": range }));
    }
    let text = loop_text(clock_of(&status)?, range);
    cx.out.line(text)
}

/// The loop in words.
pub fn loop_text(clock: Clock, range: Option<LoopRange>) -> String {
    format!("loop {}", clock.range(range))
}

/// Prints or sets tempo and time signature.
///
/// # Errors
/// A tempo that cannot be read or lies outside its range, or the server's refusal.
pub fn tempo(cx: &mut Context, args: &Tempo) -> Result<(), Failure> {
    if args.bpm.is_none() && args.signature.is_none() {
        let status = cx.status()?;
        let (tempo, signature) = (status.tempo, status.signature);
        return if cx.out.is_json() {
            cx.out.json(&json!({ "tempo": tempo, "signature": signature }))
        } else {
            cx.out.line(format_args!("{tempo} bpm in {signature}"))
        };
    }
    let tempo = args.bpm.as_deref().map(|text| wanted_tempo(cx, text)).transpose()?;
    let signature = args.signature;
    let command =
        Command::SetSession { name: None, tempo, signature, edit_fade_ms: None, max_latency_ms: None };
    let words = [tempo.map(|bpm| format!("{} bpm", bpm.get())), signature.map(|s| s.to_string())];
    let words: Vec<_> = words.into_iter().flatten().collect();
    cx.change(command, |_, _| Ok(words.join(" in ")))
}

fn wanted_tempo(cx: &mut Context, text: &str) -> Result<Bpm, Failure> {
    let bpm = match values::absolute_or_difference(text, "bpm") {
        Some((Some(bpm), _)) => bpm,
        Some((None, Some(difference))) => {
            let wanted = cx.status()?.tempo + difference;
            let held = wanted.clamp(Bpm::MIN, Bpm::MAX);
            if held != wanted {
                cx.out.note(&format!("the tempo was held at the end of its range, {held} bpm"));
            }
            held
        }
        _ => {
            let error = Error::new(ErrorCode::InvalidArgument, format!("\"{text}\" is no tempo"));
            return Err(Failure::Usage(error.expected("a tempo such as 120, 92.5bpm, +5 or 5-")));
        }
    };
    Bpm::new(bpm).ok_or_else(|| {
        let range = Range { min: Bpm::MIN, max: Bpm::MAX, unit: "bpm".into() };
        Failure::Usage(Error::out_of_range("the tempo", bpm, range))
    })
}

/// Moves the clock of the stepped driver.
///
/// # Errors
/// A length that cannot be read, or the server's refusal.
pub fn step(cx: &mut Context, texts: &[String]) -> Result<(), Failure> {
    let blocks = blocks(texts).map_err(Failure::Usage)?;
    let frames: u64 = blocks.iter().map(|block| u64::from(*block)).sum();
    let text = format!("{}, {}", count(blocks.len(), "cycle"), counted_frames(frames));
    cx.change(Command::Step { blocks }, |_, _| Ok(text))
}

fn counted_frames(frames: u64) -> String {
    if frames == 1 { "1 frame".into() } else { format!("{frames} frames") }
}

/// The lengths of the cycles: `64`, or `64x100` for a hundred of them.
fn blocks(texts: &[String]) -> Result<Vec<u32>, Error> {
    /// A request must fit a line of the protocol.
    const MOST: usize = 1_000_000;
    let mut blocks = Vec::new();
    for text in texts {
        let (block, times) = text.split_once('x').unwrap_or((text, "1"));
        let (Ok(block), Ok(times)) = (block.parse::<u32>(), times.parse::<usize>()) else {
            return Err(Error::new(
                ErrorCode::InvalidArgument,
                format!("\"{text}\" is no length of a cycle"),
            )
            .expected("frames such as 64, or 64x100 for a hundred cycles"));
        };
        if times > MOST - blocks.len() {
            return Err(Error::new(ErrorCode::InvalidArgument, format!("more than {MOST} cycles in one go"))
                .remedy("step several times"));
        }
        blocks.extend(std::iter::repeat_n(block, times));
    }
    Ok(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_can_be_counted() {
        let blocks = |text: &str| blocks(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(blocks("64 1 32x3").unwrap(), [64, 1, 32, 32, 32]);
        for wrong in
            ["", "x", "64x", "-1", "1x1000001", "1x600000 1x600000", "1.5", "64x18446744073709551616"]
        {
            assert!(blocks(wrong).is_err(), "{wrong:?}");
        }
    }
}
