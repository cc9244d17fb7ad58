//! The drivers and devices that there are.

use aulos_protocol::{DriverInfo, DriverKind};

use super::{alsa, jack};

/// Looks at all of them. Takes its time, as devices are opened to ask them.
pub fn list() -> Vec<DriverInfo> {
    let info = |driver, text: &str| DriverInfo {
        driver,
        text: text.to_owned(),
        available: true,
        problem: None,
        rate: None,
        block: None,
        devices: Vec::new(),
    };
    let mut jack = info(DriverKind::Jack, "a JACK server, or PipeWire as one");
    match jack::look() {
        Ok((rate, block)) => (jack.rate, jack.block) = (Some(rate), Some(block)),
        Err(error) => (jack.available, jack.problem) = (false, Some(error.to_string())),
    }
    let mut alsa = info(DriverKind::Alsa, "a sound device; desktop PipeWire and PulseAudio, too");
    match alsa::list() {
        Ok(devices) => {
            alsa.available = devices.iter().any(|device| device.playback > 0);
            alsa.problem = (!alsa.available).then(|| "no device plays".to_owned());
            alsa.devices = devices;
        }
        Err(error) => (alsa.available, alsa.problem) = (false, Some(error.to_string())),
    }
    let dummy = info(DriverKind::Dummy, "real time without a device");
    vec![jack, alsa, dummy]
}
