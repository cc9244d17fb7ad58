//! Tools that let agents hear.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use aulos_nodes::dsp::analysis::Analyzer;
use aulos_protocol::{
    Analysis, AudioFormat, Command, Decibels, Error, ErrorCode, Frames, MeterReading, Node, NodeKind, Query,
    Rate, Render, Reply, SampleDepth, Session,
    client::{Notice, timed_out, unexpected},
    position::Clock,
    wire::{Ask, FromServer, Request, read_from_server, write_request},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Effect, Tool};
use crate::{
    call::{Call, node},
    inputs::Time,
    overview::{decibels, rounded},
};

pub fn tools() -> Vec<Tool> {
    vec![
        Tool::new(
            "get_meters",
            "Meters",
            Effect::Looks,
            &["meters", "subscribe", "unsubscribe"],
            "The levels of strips, sends and dynamics in dBFS by channel, what limiters and compressors turn down, and the
             loudness of masters. With seconds, the highest peaks over that time; else since the last look.",
            get_meters,
        )
        .answers::<Meters>(),
        Tool::new(
            "analyze",
            "Listen and measure",
            Effect::Looks,
            &["analyze", "render", "operation", "operation_cancel"],
            "Hears for you: peak, true peak, RMS, loudness (LUFS) and the spectrum in octaves. Without start and end it
             listens to what leaves a track, bus, send or master now, for some seconds: what is not playing is silent.
             With start and end it renders that range of the timeline aside, faster than it plays and while anything
             else goes on, and measures the whole mix, or a node that goes into a master or an output.",
            analyze,
        )
        .answers::<Heard>()
        .long(),
    ]
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OfNodes {
    /// Only these nodes; all with a meter unless said.
    #[serde(default)]
    nodes: Vec<String>,
    /// Looks for so many seconds, up to 30.
    seconds: Option<f64>,
    /// Leaves out what is silent.
    #[serde(default)]
    sounding: bool,
}

/// Levels.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Meters {
    /// One for each node.
    meters: Vec<Meter>,
}

/// The levels of a node.
#[derive(Debug, Serialize, JsonSchema)]
struct Meter {
    /// The node's name.
    node: String,
    /// The highest peak of each channel in dBFS.
    peak_db: Vec<Decibels>,
    /// The RMS of the last 300 ms of each channel in dBFS, where a sine of full scale has -3.01.
    rms_db: Vec<Decibels>,
    /// By how many dB it was turned down at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    reduction_db: Option<f64>,
    /// Its loudness, where that is measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    loudness: Option<Loudness>,
}

/// Loudness as EBU R 128 measures it.
#[derive(Debug, Serialize, JsonSchema)]
struct Loudness {
    /// Of the last 0.4 s, in LUFS.
    #[serde(skip_serializing_if = "Option::is_none")]
    momentary: Option<f64>,
    /// Of the last 3 s, in LUFS.
    #[serde(skip_serializing_if = "Option::is_none")]
    short_term: Option<f64>,
    /// Since the last reset, in LUFS.
    #[serde(skip_serializing_if = "Option::is_none")]
    integrated: Option<f64>,
    /// The range since the last reset, in LU.
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<f64>,
    /// The highest true peak since the last reset, in dBTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    true_peak_db: Option<f64>,
}

fn get_meters(call: &mut Call<'_>, asked: OfNodes) -> Result<Meters, Error> {
    let session = call.session()?;
    for name in &asked.nodes {
        node(&session, name)?;
    }
    let readings = match asked.seconds {
        None => match call.query(Query::Meters)? {
            Reply::Meters { meters } => meters,
            _ => return Err(unexpected("meters")),
        },
        Some(seconds) => watch(call, seconds)?,
    };
    let is_wanted = |reading: &MeterReading| {
        (asked.nodes.is_empty() || asked.nodes.contains(&reading.node))
            && (!asked.sounding || reading.peaks.iter().any(|peak| *peak > 0.0))
    };
    Ok(Meters { meters: readings.into_iter().filter(is_wanted).map(meter).collect() })
}

/// The highest peaks over some time, by a subscription of its own.
fn watch(call: &mut Call<'_>, seconds: f64) -> Result<Vec<MeterReading>, Error> {
    const LOOKS: f64 = 20.0;
    if !(0.1..=30.0).contains(&seconds) {
        return Err(Error::new(ErrorCode::OutOfRange, format!("meters cannot be watched for {seconds} s"))
            .expected("0.1 to 30 seconds"));
    }
    let mut client = call.door.link.connect()?;
    client.query(Query::Subscribe { telemetry_hz: LOOKS })?;
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    let mut highest: Vec<MeterReading> = Vec::new();
    while Instant::now() < until {
        if call.is_cancelled() {
            return Err(crate::call::cancelled());
        }
        let Notice::Telemetry(telemetry) = client.notice()? else { continue };
        for reading in telemetry.meters {
            match highest.iter_mut().find(|known| known.node == reading.node) {
                Some(known) => {
                    let peaks: Vec<f32> =
                        reading.peaks.iter().zip(&known.peaks).map(|(new, old)| new.max(*old)).collect();
                    let reduction = match (reading.reduction, known.reduction) {
                        (Some(new), Some(old)) => Some(new.max(old)),
                        (new, old) => new.or(old),
                    };
                    *known = MeterReading { peaks, reduction, ..reading };
                }
                None => highest.push(reading),
            }
        }
    }
    client.query(Query::Unsubscribe)?;
    Ok(highest)
}

fn meter(reading: MeterReading) -> Meter {
    let db = |level: &f32| decibels(f64::from(*level)).and_then(Decibels::new).unwrap_or(Decibels::SILENCE);
    let db = |levels: &[f32]| levels.iter().map(db).collect();
    let round = |value: Option<f32>| value.map(|value| (f64::from(value) * 100.0).round() / 100.0);
    Meter {
        peak_db: db(&reading.peaks),
        rms_db: db(&reading.rms),
        reduction_db: reading.reduction.map(|db| rounded(f64::from(db))),
        loudness: reading.loudness.map(|loudness| Loudness {
            momentary: round(loudness.momentary),
            short_term: round(loudness.short_term),
            integrated: round(loudness.integrated),
            range: round(loudness.range),
            true_peak_db: decibels(f64::from(loudness.true_peak)),
        }),
        node: reading.node,
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// What is listened to: the first master unless said; of a range the whole mix.
    node: Option<String>,
    /// For how many seconds, 0.2 to 60; 3 unless said.
    seconds: Option<f64>,
    /// Where the range begins.
    start: Option<Time>,
    /// Where the range ends.
    end: Option<Time>,
}

/// What was heard.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Heard {
    /// What was listened to.
    node: String,
    /// Whether it was sounding now, or rendered from the timeline.
    live: bool,
    /// What can be said of it.
    #[serde(flatten)]
    analysis: Analysis,
}

fn analyze(call: &mut Call<'_>, asked: Asked) -> Result<Heard, Error> {
    if asked.start.is_some() || asked.end.is_some() {
        return rendered(call, &asked);
    }
    let session = call.session()?;
    let name = match asked.node {
        Some(name) => node(&session, &name)?.slug.to_string(),
        None => master(&session)?.slug.to_string(),
    };
    let seconds = asked.seconds.unwrap_or(3.0);
    match listen(call, &name, seconds)? {
        Reply::Analysis(analysis) => Ok(Heard { node: name, live: true, analysis: *analysis }),
        _ => Err(unexpected("an analysis")),
    }
}

/// Has the server listen, for as long as somebody waits for it: on a connection of its own, which is left otherwise.
fn listen(call: &mut Call<'_>, node: &str, seconds: f64) -> Result<Reply, Error> {
    const LOOK: Duration = Duration::from_millis(100);
    let patience = Duration::from_secs_f64(seconds.clamp(0.0, 60.0) + 10.0);
    let mut client = call.door.link.connect()?;
    client.set_timeout(Some(LOOK))?;
    let ask = Ask::Query(Query::Analyze { node: node.to_owned(), seconds });
    let request =
        Request { id: Some(json!(1)), ask, dry_run: false, revision: None, at: None, fade_ms: None };
    client.send_line(&write_request(&request))?;
    let begun = Instant::now();
    loop {
        match client.read_line() {
            Ok(line) => {
                if let FromServer::Answer { result, .. } = read_from_server(&line)? {
                    return result;
                }
            }
            Err(_) if call.is_cancelled() => return Err(crate::call::cancelled()),
            Err(error) if timed_out(&error) && begun.elapsed() < patience => {
                let part = begun.elapsed().as_secs_f64() / seconds;
                call.tell(part.min(1.0), format!("listening to {node} for {seconds} s"));
            }
            Err(error) => return Err(error),
        }
    }
}

fn master(session: &Session) -> Result<&Node, Error> {
    let found = session.nodes.in_order().into_iter().find(|node| node.kind == NodeKind::Master);
    found.map(AsRef::as_ref).ok_or_else(|| {
        Error::new(ErrorCode::NotFound, "the session has no master").expected("a node that is named")
    })
}

/// The longest range that is rendered to be measured, in seconds: its file is on disk meanwhile.
const LONGEST: f64 = 3600.0;

/// Measures a range of the timeline by a render to a file that is gone afterwards.
fn rendered(call: &mut Call<'_>, asked: &Asked) -> Result<Heard, Error> {
    let session = call.session()?;
    let clock = Clock::of(&session);
    let start = asked.start.as_ref().map_or(Ok(Frames(0)), |time| time.frames(clock))?;
    let end = asked.end.as_ref().map(|time| time.frames(clock)).transpose()?;
    if let Some(end) = end
        && session.rate.seconds(Frames(end.0.saturating_sub(start.0))) > LONGEST
    {
        return Err(Error::new(ErrorCode::OutOfRange, "the range is too long to be measured at once")
            .expected(format!("at most {LONGEST} s")));
    }
    let folder = tempfile::tempdir().map_err(|error| Error::io("make a temporary folder", &error))?;
    let (path, file) = match &asked.node {
        Some(name) => {
            node(&session, name)?;
            (folder.path().to_owned(), folder.path().join(format!("{name}.wav")))
        }
        None => (folder.path().join("mix.wav"), folder.path().join("mix.wav")),
    };
    let render = Render {
        path: path.display().to_string(),
        stems: asked.node.as_ref().map(|name| vec![name.clone()]),
        format: Some(AudioFormat::Wav),
        depth: Some(SampleDepth::Float32),
        dither: None,
        rate: None,
        start,
        end,
        tail: Frames(0),
        raw: false,
        block: None,
    };
    let operation = match call.command_of_ours(Command::Render(render))? {
        Reply::Started { operation } => operation,
        _ => return Err(unexpected("an operation")),
    };
    call.finish(operation)?;
    let analysis = measured(&file)?;
    Ok(Heard { node: asked.node.clone().unwrap_or_else(|| "the mix".into()), live: false, analysis })
}

fn measured(file: &Path) -> Result<Analysis, Error> {
    const PIECE: usize = 4096;
    let unreadable =
        |error: hound::Error| Error::new(ErrorCode::Io, format!("what was rendered cannot be read: {error}"));
    let mut reader = hound::WavReader::open(file).map_err(unreadable)?;
    let spec = reader.spec();
    let rate = Rate::new(spec.sample_rate).ok_or_else(|| unexpected("a file of a rate that is possible"))?;
    let channels = usize::from(spec.channels);
    let mut analyzer = Analyzer::new(channels, rate);
    let mut block = vec![Vec::with_capacity(PIECE); channels];
    for (n, sample) in reader.samples::<f32>().enumerate() {
        block[n % channels].push(sample.map_err(unreadable)?);
        if n % channels == channels - 1 && block[0].len() == PIECE {
            analyzer.hear(&block);
            block.iter_mut().for_each(Vec::clear);
        }
    }
    analyzer.hear(&block);
    Ok(analyzer.finish(0))
}
