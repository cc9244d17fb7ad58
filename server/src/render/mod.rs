//! Rendering a session to files, on an engine of its own.

mod stems;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use aulos_engine::{Controller, Engine, Patience, Start, TransportChange};
use aulos_protocol::{
    AudioFormat, Dither, Error, ErrorCode, NodeKind, Range, Rate, Render, SampleDepth, Session, Slug, params,
};

use crate::{
    audiofile::{self, Resampler, Writer},
    disk::{READ_AHEAD, Streams},
    library::{Library, ReadAhead},
    played,
};

/// Frames in a cycle, if nothing else is said.
const BLOCK: u32 = 1024;
/// The longest cycle.
const MOST_BLOCK: u32 = 65_536;

/// A render that was found possible.
pub struct Job {
    session: Session,
    folder: Option<PathBuf>,
    form: Form,
    render: Render,
    /// The files, each with some of the driver's channels, in their order and without gaps.
    files: Vec<Target>,
    /// A folder that is made if it is not there.
    makes: Option<PathBuf>,
    /// The nodes that turn the mix down, and the stems not.
    levellers: BTreeSet<Slug>,
}

/// The form of the files.
#[derive(Clone, Copy)]
struct Form {
    format: AudioFormat,
    depth: SampleDepth,
    dither: bool,
}

/// A file to be written.
struct Target {
    path: PathBuf,
    channels: usize,
}

impl Job {
    /// Checks what is asked.
    ///
    /// # Errors
    /// `InvalidArgument`, also for a file that a clip plays, `OutOfRange`, `NotFound` for a stem of no node, or
    /// `Unavailable` if the session has no output, or nothing to make stems of.
    pub fn new(session: Session, folder: Option<PathBuf>, render: Render) -> Result<Self, Error> {
        let path = PathBuf::from(&render.path);
        if !path.is_absolute() {
            return Err(invalid(format!("\"{}\" is not a whole path", render.path))
                .expected("a path that begins with /: the server has another current folder than you"));
        }
        let form = form(&path, &render)?;
        check_times(&render)?;
        let whole = session.clone();
        let (session, files, makes, levellers) = match &render.stems {
            None => {
                let channels = output_channels(&session)?;
                (session, vec![Target { path, channels }], None, BTreeSet::new())
            }
            Some(wanted) => {
                if path.exists() && !path.is_dir() {
                    return Err(invalid(format!("{} is a file", path.display()))
                        .expected("a folder for the stems, which is made if it is not there"));
                }
                let stems::Apart { session, stems, channels, levellers } =
                    stems::take_apart(&session, wanted)?;
                let ending = if form.format == AudioFormat::Wav { "wav" } else { "flac" };
                let file = |node| Target { path: path.join(format!("{node}.{ending}")), channels };
                (session, stems.iter().map(file).collect(), Some(path), levellers)
            }
        };
        played::spare(&whole, folder.as_deref(), files.iter().map(|file| file.path.as_path()))?;
        // Found out before the work is done rather than after.
        for file in &files {
            let channels = u16::try_from(file.channels).unwrap_or(u16::MAX);
            Writer::most_frames(form.format, form.depth, channels)?;
        }
        Ok(Self { session, folder, form, render, files, makes, levellers })
    }

    /// Renders, on this thread. `progress` is told how much is done, 0 to 1. Answers with a report in
    /// sentences.
    ///
    /// # Errors
    /// What went wrong. There is no file then, but those stems that were complete when another could not be.
    pub fn run(self, cancel: &AtomicBool, progress: &dyn Fn(f64)) -> Result<Vec<String>, Error> {
        let streams = Arc::new(Streams::new(READ_AHEAD)?);
        let read_ahead = ReadAhead::new(streams.clone(), READ_AHEAD);
        let mut library = Library::new(streams, self.folder.clone());
        let block = self.render.block.unwrap_or(BLOCK) as usize;
        // A file is straight, also that of a session with a loop.
        let start = Start { position: self.render.start.0, rolling: true, loop_range: None };
        let setup = aulos_engine::Setup { max_block: block, start };
        let (mut controller, mut engine, mut warnings) =
            aulos_engine::engine(self.session.clone(), &mut library, setup)?;
        warnings.extend(library.shortages(&self.session));
        let spans = library.spans(&self.session);
        let end = match self.render.end {
            Some(end) => end.0,
            None => spans.iter().map(crate::library::Span::end).max().unwrap_or(0),
        };
        let len = end.saturating_sub(self.render.start.0);
        if len == 0 {
            return Err(Error::new(
                ErrorCode::InvalidArgument,
                "there is nothing after the start of the range",
            )
            .expected("clips, or an end of the range")
            .remedy("say where to end, such as: aulosctl render OUT --to 10s"));
        }
        read_ahead.set_spans(spans);
        read_ahead.follow(controller.counters().clone(), None);

        let latency = controller.total_latency();
        let total = latency + len + self.render.tail.0;
        let skip = if self.render.raw { 0 } else { latency };
        let rate = self.render.rate.unwrap_or(self.session.rate);
        self.make_folder()?;
        let mut sinks =
            self.files.iter().map(|file| Sink::new(&self, file, rate)).collect::<Result<Vec<_>, _>>()?;
        let channels = self.files.iter().map(|file| file.channels).sum();
        let mut playback = vec![vec![0.0f32; block]; channels];
        let mut done = 0u64;
        while done < total {
            if cancel.load(Relaxed) {
                return Err(Error::new(ErrorCode::Unavailable, "the render was cancelled"));
            }
            // The range ends on its frame: what comes after belongs to the tail.
            let until = if done < len { len } else { total };
            let frames = (until - done).min(block as u64) as usize;
            if done == len && self.render.tail.0 > 0 {
                controller.transport(TransportChange::Pause, None)?;
            }
            read_ahead.wait(frames as u64)?;
            cycle(&mut engine, &mut playback, frames);
            controller.poll();
            let first = skip.saturating_sub(done).min(frames as u64) as usize;
            let slices: Vec<&[f32]> = playback.iter().map(|c| &c[first..frames]).collect();
            let mut rest = &slices[..];
            for sink in &mut sinks {
                let (mine, others) = rest.split_at(sink.channels);
                sink.write(mine)?;
                rest = others;
            }
            let before = done * 100 / total;
            done += frames as u64;
            if done * 100 / total != before {
                progress(done as f64 / total as f64);
            }
        }
        let underruns = read_ahead.streams().underruns();
        if underruns > 0 {
            return Err(Error::new(ErrorCode::Io, format!("{underruns} blocks of audio files were missing"))
                .remedy("check the disk and render again"));
        }
        let mut report = Vec::new();
        for (sink, file) in sinks.into_iter().zip(&self.files) {
            let peak = sink.peak;
            let written = sink.finish()?;
            report.extend(file.report(&written, rate, peak));
        }
        if skip > 0 {
            report.push(format!("{skip} frames of latency were trimmed from the beginning"));
        }
        let inputs = self.session.nodes.values().filter(|node| node.kind == NodeKind::Input);
        report.extend(inputs.map(|node| format!("the input {} was rendered as silence", node.slug)));
        let errors = read_ahead.streams().take_errors();
        report.extend(warnings.iter().chain(&errors).map(|error| format!("warning: {error}")));
        report.extend(self.turned_down(&controller));
        Ok(report)
    }

    /// What has turned the mix down, so that the stems do not sum to it.
    fn turned_down(&self, controller: &Controller) -> Vec<String> {
        let readings = controller.meters().into_iter();
        let turned =
            readings.filter_map(|reading| Some((reading.reduction.filter(|db| *db > 0.0)?, reading.node)));
        turned
            .filter(|(_, node)| self.levellers.iter().any(|slug| slug.as_str() == node))
            .map(|(db, node)| {
                format!(
                    "warning: {node} turns the mix down by up to {db:.2} dB, and the stems not: they do not sum to it"
                )
            })
            .collect()
    }

    /// Makes the folder of the stems, which lies in one that is there.
    fn make_folder(&self) -> Result<(), Error> {
        let Some(folder) = &self.makes else { return Ok(()) };
        match std::fs::create_dir(folder) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                Err(Error::io(&format!("make the folder {}", folder.display()), &error))
            }
            _ => Ok(()),
        }
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorCode::InvalidArgument, message)
}

fn form(path: &Path, render: &Render) -> Result<Form, Error> {
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    let format = match (render.format, ending.as_deref()) {
        (Some(format), _) => format,
        (None, _) if render.stems.is_some() => AudioFormat::Wav,
        (None, Some("wav")) => AudioFormat::Wav,
        (None, Some("flac")) => AudioFormat::Flac,
        (None, _) => {
            return Err(invalid(format!("the name {} does not say which format", path.display()))
                .expected("a name that ends in .wav or .flac, or a format"));
        }
    };
    let depth = render.depth.unwrap_or(match format {
        AudioFormat::Wav => SampleDepth::Float32,
        AudioFormat::Flac => SampleDepth::Int24,
    });
    if render.dither == Some(Dither::Tpdf) && depth == SampleDepth::Float32 {
        return Err(invalid("floating-point samples are not rounded, and so not dithered".into())
            .expected("a depth of 16 or 24 bits, or no dither"));
    }
    let by_depth = if depth == SampleDepth::Int16 { Dither::Tpdf } else { Dither::None };
    Ok(Form { format, depth, dither: render.dither.unwrap_or(by_depth) == Dither::Tpdf })
}

fn check_times(render: &Render) -> Result<(), Error> {
    if let Some(end) = render.end
        && end <= render.start
    {
        return Err(invalid(format!("the range from {} to {end} is empty", render.start))
            .expected("an end after the start"));
    }
    let block = render.block.unwrap_or(BLOCK);
    if !(1..=MOST_BLOCK).contains(&block) {
        let range = Range { min: 1.0, max: f64::from(MOST_BLOCK), unit: "frames".into() };
        return Err(Error::out_of_range("the block", f64::from(block), range));
    }
    for (what, frames) in [
        ("the start", render.start.0),
        ("the end", render.end.map_or(0, |end| end.0)),
        ("the tail", render.tail.0),
    ] {
        if frames > aulos_engine::session::MAX_POSITION {
            let max = aulos_engine::session::MAX_POSITION as f64;
            let range = Range { min: 0.0, max, unit: "frames".into() };
            return Err(Error::out_of_range(what, frames as f64, range));
        }
    }
    Ok(())
}

/// How many channels the outputs of a session reach.
fn output_channels(session: &Session) -> Result<usize, Error> {
    let outputs = session.nodes.values().filter(|node| node.kind == NodeKind::Output);
    let last = |node: &Arc<aulos_protocol::Node>| {
        params::number(node, "first_channel").unwrap_or(1.0) as usize - 1 + usize::from(node.channels)
    };
    outputs.map(last).max().ok_or_else(|| {
        Error::new(ErrorCode::Unavailable, "the session has no output: there is nothing to render")
            .remedy("add one with: aulosctl node add output, and link the master to it")
    })
}

impl Target {
    fn report(&self, written: &audiofile::Report, rate: Rate, peak: f32) -> Vec<String> {
        let seconds = rate.seconds(aulos_protocol::Frames(written.frames));
        let mut report = vec![format!(
            "{}: {} frames ({seconds:.3} s), {} channels at {} Hz, peak {:.2} dBFS",
            self.path.display(),
            written.frames,
            self.channels,
            rate.hz(),
            20.0 * f64::from(peak).log10()
        )];
        if written.clipped > 0 {
            report.push(format!("{} samples were clipped", written.clipped));
        }
        report
    }
}

fn cycle(engine: &mut Engine, playback: &mut [Vec<f32>], frames: usize) {
    engine.process::<Vec<f32>, _>(&[], playback, frames, &Patience, u64::MAX);
}

/// A file, behind a resampler, which leaves equal rates alone.
struct Sink {
    writer: Writer,
    resampler: Resampler,
    channels: usize,
    /// The highest sample before it is rounded, as an absolute value.
    peak: f32,
}

impl Sink {
    fn new(job: &Job, file: &Target, rate: Rate) -> Result<Self, Error> {
        let Form { format, depth, dither } = job.form;
        let channels = file.channels as u16;
        let resampler = Resampler::new(job.session.rate, rate, channels)?;
        let writer = Writer::create(&file.path, format, depth, rate, channels)?;
        let writer = if dither { writer.dithered() } else { writer };
        Ok(Self { writer, resampler, channels: file.channels, peak: 0.0 })
    }

    fn write(&mut self, block: &[&[f32]]) -> Result<(), Error> {
        let highest = |c: &&[f32]| c.iter().fold(0.0f32, |m, x| m.max(x.abs()));
        self.peak = block.iter().map(highest).fold(self.peak, f32::max);
        self.resampler.process(block, &mut |block| self.writer.write(block))
    }

    fn finish(self) -> Result<audiofile::Report, Error> {
        let Self { mut writer, resampler, .. } = self;
        resampler.finish(&mut |block| writer.write(block))?;
        writer.finish()
    }
}
