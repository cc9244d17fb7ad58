//! `driver`: what calls the engine.

use aulos_protocol::{Command, DeviceInfo, DriverInfo, DriverStatus, Query, Rate, Reply, client::unexpected};

use crate::{
    args::{DriverSet, DriverVerb},
    context::Context,
    failure::Failure,
    paint::{Paint, Style},
    text::{count, plain},
};

/// Lists, shows or changes drivers.
///
/// # Errors
/// The server's refusal.
pub fn run(cx: &mut Context, verb: DriverVerb) -> Result<(), Failure> {
    match verb {
        DriverVerb::Ls => match cx.query_or_print(Query::Drivers)? {
            None => Ok(()),
            Some(Reply::Drivers { drivers }) => {
                let paint = cx.out.paint();
                cx.out.lines(drivers.iter().flat_map(|driver| driver_lines(driver, paint)))
            }
            Some(_) => Err(unexpected("the drivers").into()),
        },
        DriverVerb::Show => {
            let status = cx.status()?;
            if cx.out.is_json() {
                return cx.out.json(&status.driver);
            }
            let paint = cx.out.paint();
            cx.out.lines(lines(&status.driver, status.rate, paint))
        }
        DriverVerb::Clock => match cx.query_or_print(Query::Clock)? {
            None => Ok(()),
            Some(Reply::Clock(clock)) => cx.out.lines([
                format!(
                    "frame {} at {}.{:09} s since 1970",
                    clock.frame,
                    clock.unix_ns / 1_000_000_000,
                    clock.unix_ns % 1_000_000_000
                ),
                format!("{:.6} frames a second, line {}", clock.frames_per_second, clock.number),
                format!("now frame {}", clock.frame_at(clock.now_ns)),
            ]),
            Some(_) => Err(unexpected("the clock").into()),
        },
        DriverVerb::Set(DriverSet { driver, device, block }) => {
            let text = driver.map_or("the driver is changed".to_owned(), |driver| {
                format!("the driver is {}", driver.name())
            });
            cx.change(Command::SetDriver { driver, device, block }, |_, _| Ok(text))
        }
    }
}

/// What a driver is doing, most important first.
pub fn lines(driver: &DriverStatus, rate: Rate, paint: Paint) -> Vec<String> {
    let hz = driver.other_rate.unwrap_or(rate.hz());
    let block_ms = f64::from(driver.block) / f64::from(hz) * 1000.0;
    let mut lines = vec![format!("{}, {} frames ({block_ms:.2} ms)", plain(&driver.name), driver.block)];
    if let Some(device) = &driver.device {
        lines.push(plain(device).into_owned());
    }
    if driver.other_rate.is_some() {
        let text = format!("runs at {hz} Hz, resampled to the session's {} Hz", rate.hz());
        lines.push(paint.style(Style::Warn, &text).into_owned());
    }
    if let Some(lost) = &driver.lost {
        let text = format!("lost: {}; the dummy clock stands in", plain(lost));
        lines.push(paint.style(Style::Bad, &text).into_owned());
    }
    if let Some(reason) = &driver.reason {
        lines.push(plain(reason).into_owned());
    }
    if driver.device.is_some() {
        let latency =
            format!("{} frames to the device, {} from it", driver.playback_latency, driver.capture_latency);
        lines.push(latency);
    }
    let mut counts = Vec::new();
    if driver.xruns > 0 {
        counts.push(count(driver.xruns as usize, "xrun"));
    }
    if driver.losses > 0 {
        counts.push(format!("lost {}", count(driver.losses as usize, "time")));
    }
    if !counts.is_empty() {
        lines.push(paint.style(Style::Warn, &counts.join(", ")).into_owned());
    }
    lines.push(match &driver.realtime {
        Ok(priority) => format!("real-time priority {priority}"),
        Err(why) => format!("{}: {}", paint.style(Style::Warn, "no real-time priority"), plain(why)),
    });
    lines.push(match &driver.unlocked {
        None => "memory is locked".to_owned(),
        Some(why) => format!("{}: {}", paint.style(Style::Warn, "memory is not locked"), plain(why)),
    });
    lines
}

fn driver_lines(driver: &DriverInfo, paint: Paint) -> Vec<String> {
    let mut head =
        format!("{}  {}", paint.bold(&format!("{:<6}", driver.driver.name())), plain(&driver.text));
    if let (Some(rate), Some(block)) = (driver.rate, driver.block) {
        head.push_str(&format!("  {rate} Hz, {block} frames"));
    }
    if let Some(problem) = &driver.problem {
        head.push_str(&format!("  {}", paint.style(Style::Warn, &plain(problem))));
    }
    let devices = driver.devices.iter().map(|device| format!("        {}", device_line(device, paint)));
    std::iter::once(head).chain(devices).collect()
}

fn device_line(device: &DeviceInfo, paint: Paint) -> String {
    let mut parts = vec![paint.bold(&plain(&device.name)).into_owned()];
    match &device.problem {
        Some(problem) => parts.push(paint.dim(&plain(problem)).into_owned()),
        None => {
            parts.push(format!("{} out, {} in", device.playback, device.capture));
            match device.rates {
                Some((low, high)) if low == high => parts.push(format!("{low} Hz")),
                Some((low, high)) => parts.push(format!("{low} to {high} Hz")),
                None => {}
            }
            parts.push(device.formats.join(" "));
        }
    }
    parts.push(paint.dim(&plain(&device.description)).into_owned());
    parts.retain(|part| !part.is_empty());
    parts.join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{self, snapshot};

    #[test]
    fn a_driver_is_shown_with_what_is_wrong_with_it() {
        let mut driver = samples::status().driver;
        driver.name = "jack".into();
        driver.reason = Some("auto: a JACK server runs".into());
        driver.device = Some("JACK client \"aulos\"".into());
        (driver.xruns, driver.losses) = (3, 1);
        driver.playback_latency = aulos_protocol::Frames(512);
        driver.other_rate = Some(44_100);
        let runs = lines(&driver, Rate::default(), Paint::off());
        (driver.device, driver.other_rate) = (None, None);
        (driver.running, driver.lost) = (false, Some("no server runs".into()));
        driver.realtime = Err("refused".into());
        driver.unlocked = Some("the limit is 8192 KiB".into());
        let lost = lines(&driver, Rate::default(), Paint::off());
        let list = samples::drivers();
        let list = list.iter().flat_map(|driver| driver_lines(driver, Paint::off()));
        let parts: [Vec<String>; 3] = [runs, lost, list.collect()];
        snapshot("driver", &parts.map(|part| part.join("\n")).join("\n\n"));
    }
}
