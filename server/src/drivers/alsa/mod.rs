//! The ALSA driver: a sound device, or what desktop PipeWire and PulseAudio show as one.

mod format;
mod stream;

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use aulos_protocol::{DeviceInfo, Error, ErrorCode, Rate};
use cpal::{
    BufferSize, ErrorKind, Stream, StreamConfig, SupportedStreamConfigRange,
    traits::{DeviceTrait, HostTrait, StreamTrait},
};

use super::{
    SampleForm, Stats,
    device::{Device, Facts, Loss, Opened, Opening, Wanted, resampled},
    edge::{Crossing, Edge},
    seat::MOST_CHANNELS,
};
use format::{Writer, best, format_of};
use stream::{Playback, Shared, joined};

/// What alsa-lib calls the device of the user's choice.
const DEFAULT: &str = "default";
/// How long a stream waits for its device before it looks at its state.
const POLL: Option<Duration> = Some(Duration::from_millis(250));

/// A device that plays.
struct Alsa {
    playback: Stream,
    capture: Option<Stream>,
    shared: Arc<Shared>,
    crossing: Crossing,
    number: u32,
    facts: Facts,
    /// In frames of the device, as they are shown.
    playback_latency: u64,
    capture_latency: u64,
}

fn unavailable(message: String) -> Error {
    Error::new(ErrorCode::Unavailable, message)
}

/// Has alsa-lib keep to itself what it would write to stderr on this thread.
fn hush() {
    if let Err(error) = alsa::Output::local_error_handler() {
        tracing::debug!("alsa-lib cannot be told to be quiet: {error}");
    }
}

fn host() -> Result<cpal::Host, Error> {
    cpal::host_from_id(cpal::HostId::Alsa).map_err(|error| unavailable(format!("no ALSA: {error}")))
}

fn name_of(device: &cpal::Device) -> String {
    device.id().map_or_else(|_| DEFAULT.into(), |id| id.id().to_owned())
}

fn find(name: Option<&str>) -> Result<cpal::Device, Error> {
    let host = host()?;
    let name = name.unwrap_or(DEFAULT);
    if name == DEFAULT {
        return host.default_output_device().ok_or_else(|| unavailable("there is no default device".into()));
    }
    let id = cpal::DeviceId::new(cpal::HostId::Alsa, name);
    host.device_by_id(&id).ok_or_else(|| {
        let known: Vec<String> =
            host.devices().into_iter().flatten().map(|device| name_of(&device)).collect();
        let mut error = Error::not_found("ALSA device", name, known.iter().map(String::as_str));
        error.remedy.get_or_insert_with(|| "aulosctl driver ls shows the devices".into());
        error
    })
}

/// What a device is to do in one direction.
struct Able {
    rate: Rate,
    channels: u16,
    /// How many it could have at this rate.
    most: u16,
    form: SampleForm,
}

/// What is asked of a device in one direction.
struct Asked {
    /// The rate that is preferred, and whether no other will do.
    rate: Rate,
    exactly: bool,
    channels: usize,
    form: Option<SampleForm>,
}

/// The rate that a device has next to the one that is wanted: rather a higher one, which loses nothing.
fn next_rate(ranges: &[SupportedStreamConfigRange], wanted: u32) -> Option<u32> {
    let nearest = |range: &SupportedStreamConfigRange| {
        wanted.clamp(range.min_sample_rate(), range.max_sample_rate().max(range.min_sample_rate()))
    };
    let rates = || ranges.iter().map(nearest).filter(|hz| Rate::new(*hz).is_some());
    rates().filter(|hz| *hz >= wanted).min().or_else(|| rates().max())
}

/// Chooses among what a device has: the rate that is asked for, or the next one; the channels that are asked for, or
/// the next more, or the most.
fn able(name: &str, ranges: &[SupportedStreamConfigRange], asked: &Asked) -> Result<Able, Error> {
    let wanted = asked.rate.hz();
    let rate = next_rate(ranges, wanted).filter(|hz| *hz == wanted || !asked.exactly).and_then(Rate::new);
    let Some(rate) = rate else {
        return Err(unavailable(format!("the device {name} has no rate of {wanted} Hz"))
            .remedy("use a device that converts, such as default or plughw:..."));
    };
    let at_rate = |range: &&SupportedStreamConfigRange| {
        (range.min_sample_rate()..=range.max_sample_rate()).contains(&rate.hz())
    };
    let fits: Vec<_> = ranges.iter().filter(at_rate).collect();
    let wanted = asked.channels as u16;
    let count = |range: &&&SupportedStreamConfigRange| range.channels();
    let most = MOST_CHANNELS as u16;
    let channels = fits.iter().filter(|range| (wanted..=most).contains(&range.channels())).min_by_key(count);
    let most_of_it = fits.iter().filter(|range| range.channels() <= most).max_by_key(count);
    let (Some(channels), Some(most)) = (channels.or(most_of_it), most_of_it) else {
        return Err(unavailable(format!("the device {name} has more than {most} channels")));
    };
    let (channels, most) = (channels.channels(), most.channels());
    let has =
        |format| fits.iter().any(|range| range.channels() == channels && range.sample_format() == format);
    let form = match asked.form {
        Some(form) if has(format_of(form)) => Some(form),
        Some(form) => {
            return Err(unavailable(format!("the device {name} does not take samples of {}", form.name()))
                .remedy("leave the form of samples to the device"));
        }
        None => best(has),
    };
    let form = form.ok_or_else(|| {
        unavailable(format!("the device {name} has no form of samples that is known here"))
            .expected("S16, S24, S32 or F32")
            .remedy("use a device that converts, such as default or plughw:...")
    })?;
    Ok(Able { rate, channels, most, form })
}

/// Opens the device, with as many channels as the session uses if it has them.
///
/// # Errors
/// `Unavailable` if there is none, or it cannot play.
pub fn open(opening: &Opening) -> Result<Opened, Error> {
    hush();
    let setup = &opening.setup;
    if setup.playback == 0 {
        return Err(Error::new(ErrorCode::InvalidArgument, "a device without playback is no clock")
            .remedy("give it channels with --playback"));
    }
    let device = find(setup.device.as_deref())?;
    let name = name_of(&device);
    let asked = (setup.playback, setup.capture);
    let (playback, capture) = opening.wanted.channels();
    let used = (asked.0.max(playback), if asked.1 == 0 { 0 } else { asked.1.max(capture) });
    let (alsa, warnings) = match open_with(opening, &device, &name, used) {
        Err(error) if used != asked => {
            // Rather some channels than none.
            let (mut alsa, mut warnings) = open_with(opening, &device, &name, asked)?;
            alsa.facts.most = Some((alsa.facts.playback, alsa.facts.capture));
            warnings.push(error);
            (alsa, warnings)
        }
        opened => opened?,
    };
    Ok(Opened { device: Box::new(alsa), warnings })
}

/// Opens the device with so many channels that it plays and records, or as many as it has.
fn open_with(
    opening: &Opening,
    device: &cpal::Device,
    name: &str,
    (playback, capture): (usize, usize),
) -> Result<(Alsa, Vec<Error>), Error> {
    let setup = &opening.setup;
    let plays = device.supported_output_configs().map_err(|error| refused(name, &error))?.collect::<Vec<_>>();
    let asked = Asked { rate: opening.rate, exactly: false, channels: playback, form: setup.format };
    let plays = able(name, &plays, &asked)?;
    let mut warnings = Vec::from_iter(resampled(&format!("the device {name}"), opening.rate, plays.rate));
    let records = match records(capture, device, name, plays.rate) {
        Ok(records) => records,
        Err(error) => {
            warnings.push(error);
            None
        }
    };
    let try_with = |size| streams(opening, device, name, (&plays, records.as_ref()), size);
    let mut tried = try_with(BufferSize::Fixed(setup.block));
    // Devices' own wishes may be a third of a second: what is near comes first.
    for size in near(setup.block).map(BufferSize::Fixed).chain([BufferSize::Default]) {
        let Err(error) = &tried else { break };
        tracing::debug!("{name} refuses its cycles: {}; {size:?} is next", error.message);
        tried = try_with(size);
    }
    let (mut alsa, warning) = tried?;
    warnings.extend(warning);
    alsa.facts.block = alsa.playback.buffer_size().unwrap_or(setup.block);
    if alsa.facts.block != setup.block {
        let block = alsa.facts.block;
        let text = format!("the device {name} has cycles of {block} frames, not of {}", setup.block);
        warnings.push(unavailable(text));
    }
    Ok((alsa, warnings))
}

/// The blocks that are tried where a device refuses `block`: powers of two from there on.
fn near(block: u32) -> impl Iterator<Item = u32> {
    (5..=13).map(|power| 1 << power).filter(move |size| *size > block)
}

/// How the device records, if it does: at the rate at which it plays.
fn records(channels: usize, device: &cpal::Device, name: &str, rate: Rate) -> Result<Option<Able>, Error> {
    if channels == 0 {
        return Ok(None);
    }
    match device.supported_input_configs() {
        Ok(ranges) => {
            able(name, &ranges.collect::<Vec<_>>(), &Asked { rate, exactly: true, channels, form: None })
                .map(Some)
                .map_err(|error| silent(name, &error))
        }
        // Many devices only play: nothing to warn of.
        Err(error) => {
            tracing::info!("{name} does not record: {error}");
            Ok(None)
        }
    }
}

fn silent(name: &str, error: &Error) -> Error {
    unavailable(format!("the device {name} does not record: {}", error.message))
        .remedy("it plays all the same; --record 0 says that nothing is to be recorded")
}

/// Opens the streams with cycles of `size`, and starts them.
fn streams(
    opening: &Opening,
    device: &cpal::Device,
    name: &str,
    (plays, records): (&Able, Option<&Able>),
    size: BufferSize,
) -> Result<(Alsa, Option<Error>), Error> {
    let (rate, stats) = (plays.rate, &opening.stats);
    let shared = Arc::new(Shared::default());
    let config =
        |able: &Able| StreamConfig { channels: able.channels, sample_rate: rate.hz(), buffer_size: size };
    let channels = usize::from(plays.channels);
    let hold = opening.berth.hold(opening.rate);
    let number = hold.number();
    let mut warning = None;
    let mut recorded = None;
    let capture = records.and_then(|able| {
        let (mut recording, theirs) = joined(usize::from(able.channels), stats.clone());
        let told = shared.clone();
        let built = device.build_input_stream_raw(
            config(able),
            format_of(able.form),
            move |data, info| {
                let time = info.timestamp();
                let early = time.callback.saturating_duration_since(time.capture);
                told.capture_latency.store(frames(early, rate), Relaxed);
                recording.call(data);
            },
            complaints(&shared, stats),
            POLL,
        );
        match built {
            Ok(stream) => {
                recorded = Some(theirs);
                Some(stream)
            }
            Err(error) => {
                warning = Some(silent(name, &refused(name, &error)));
                None
            }
        }
    });
    let (records, most) = match (&capture, records) {
        (Some(_), Some(able)) => (usize::from(able.channels), usize::from(able.most)),
        _ => (0, 0),
    };
    let edge = Edge::new(opening.rate, rate, records, channels)?;
    let crossing = edge.crossing();
    let side =
        Playback::new((hold, edge), stats.clone(), shared.clone(), rate, Writer::new(plays.form, channels));
    let mut side = side.with(recorded);
    let told = shared.clone();
    let playback = device
        .build_output_stream_raw(
            config(plays),
            format_of(plays.form),
            move |data, info| {
                let time = info.timestamp();
                let late = time.playback.saturating_duration_since(time.callback);
                told.playback_latency.store(frames(late, rate), Relaxed);
                side.call(data);
            },
            complaints(&shared, stats),
            POLL,
        )
        .map_err(|error| refused(name, &error))?;
    if let Some(Err(error)) = capture.as_ref().map(Stream::play) {
        warning = Some(silent(name, &refused(name, &error)));
    }
    playback.play().map_err(|error| refused(name, &error))?;
    let facts = Facts {
        name: format!("ALSA device \"{name}\" ({}, {channels} channels)", plays.form.name()),
        rate,
        block: opening.setup.block,
        playback: channels,
        capture: records,
        most: Some((usize::from(plays.most), most)),
        playback_latency: 0,
        capture_latency: 0,
        waits: false,
    };
    Ok((
        Alsa { playback, capture, shared, crossing, number, facts, playback_latency: 0, capture_latency: 0 },
        warning,
    ))
}

/// Notes what a stream complains of.
fn complaints(shared: &Arc<Shared>, stats: &Arc<Stats>) -> impl FnMut(cpal::Error) + Send + 'static {
    let (shared, stats) = (shared.clone(), stats.clone());
    move |error| match error.kind() {
        ErrorKind::Xrun => stats.xrun(),
        // The thread asks for its priority itself, and says what became of it.
        ErrorKind::RealtimeDenied => {}
        ErrorKind::DeviceChanged => shared.changed.store(true, Relaxed),
        _ => {
            shared.fail(error.to_string());
            // A stream that fails again and again would take a core until it is closed.
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn frames(time: Duration, rate: Rate) -> u64 {
    (time.as_secs_f64() * f64::from(rate.hz())).round() as u64
}

fn refused(name: &str, error: &cpal::Error) -> Error {
    unavailable(format!("the device {name} cannot be used: {error}"))
        .remedy("aulosctl driver ls shows the devices; another program may have it open")
}

/// What is shown of a latency that was `shown` and is `now`. It jitters with every cycle: a multiple of the block is
/// shown, and another one only when it is a block off.
fn steady(shown: u64, now: u64, block: u64) -> u64 {
    if shown >= now && shown - now < 2 * block && shown > 0 { shown } else { now.div_ceil(block) * block }
}

impl Device for Alsa {
    fn number(&self) -> u32 {
        self.number
    }

    fn tend(&mut self, _: &Wanted, _: u64) -> Result<(), Loss> {
        if self.shared.is_unpaced() {
            let reason = "it takes sound faster than time passes, and is no clock (is it the null device?)";
            return Err(Loss { reason: reason.into(), retry: false });
        }
        if let Some(reason) = self.shared.failure() {
            return Err(Loss::passing(reason));
        }
        if self.shared.changed.swap(false, Relaxed) {
            tracing::info!("{} goes to another device", self.facts.name);
        }
        let block = u64::from(self.facts.block.max(1));
        self.playback_latency =
            steady(self.playback_latency, self.shared.playback_latency.load(Relaxed), block);
        self.capture_latency = steady(self.capture_latency, self.shared.capture_latency.load(Relaxed), block);
        self.facts.playback_latency = self.crossing.playback(self.playback_latency);
        self.facts.capture_latency = self.crossing.capture(self.capture_latency);
        Ok(())
    }

    fn facts(&self) -> Facts {
        self.facts.clone()
    }

    fn set_block(&mut self, _: u32) -> Result<bool, Error> {
        Ok(false)
    }

    fn close(self: Box<Self>) {
        let Self { playback, capture, .. } = *self;
        drop(capture);
        drop(playback);
    }
}

/// The devices that there are, and what they can do.
///
/// # Errors
/// `Unavailable` without ALSA.
pub fn list() -> Result<Vec<DeviceInfo>, Error> {
    hush();
    let host = host()?;
    let default = host.default_output_device().into_iter();
    let named = host.devices().into_iter().flatten().filter(|device| name_of(device) != DEFAULT);
    Ok(default.chain(named).map(|device| describe(&device)).collect())
}

fn describe(device: &cpal::Device) -> DeviceInfo {
    let name = name_of(device);
    let description = device.description().map(|text| text.name().to_owned()).unwrap_or_default();
    let most = |ranges: &[SupportedStreamConfigRange]| {
        ranges.iter().map(|range| range.channels()).max().unwrap_or(0)
    };
    let configs = |result: Result<Vec<_>, cpal::Error>| match result {
        Ok(ranges) => (ranges, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let (plays, problem) = configs(device.supported_output_configs().map(Iterator::collect));
    let (records, _) = configs(device.supported_input_configs().map(Iterator::collect));
    let rates = plays.iter().chain(&records).map(|range| (range.min_sample_rate(), range.max_sample_rate()));
    let rates = rates.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    let forms = [SampleForm::S16, SampleForm::S24, SampleForm::S32, SampleForm::F32].into_iter();
    let has = |form: &SampleForm| plays.iter().any(|range| range.sample_format() == format_of(*form));
    DeviceInfo {
        name,
        description,
        playback: most(&plays),
        capture: most(&records),
        rates,
        formats: forms.filter(has).map(|form| form.name().to_owned()).collect(),
        problem: if plays.is_empty() && records.is_empty() { problem } else { None },
    }
}
