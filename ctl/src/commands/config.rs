//! `config`: the configuration file.

use aulos_protocol::config::{self, Config};
use serde_json::json;

use crate::{args::ConfigVerb, context::Context, failure::Failure, text::plain};

/// Shows the configuration, or where it is looked for.
///
/// # Errors
/// What is wrong with it, with file and line.
pub fn run(cx: &mut Context, verb: &ConfigVerb) -> Result<(), Failure> {
    let env = |name: &str| std::env::var(name).ok();
    match verb {
        ConfigVerb::Show => {
            let config = Config::load(None, env)?;
            if !cx.out.is_json() {
                return cx.out.lines(config.text(env).lines());
            }
            let settings: serde_json::Map<_, _> = config::SETTINGS
                .iter()
                .filter_map(|setting| {
                    let name = format!("{}.{}", setting.section, setting.key);
                    let entry = config.get(&name)?;
                    let told = json!({ "value": entry.value, "file": entry.file, "line": entry.line });
                    Some((name, told))
                })
                .collect();
            cx.out.json(&settings)
        }
        ConfigVerb::Path => {
            let places = config::places(&env);
            if cx.out.is_json() {
                let places: Vec<_> =
                    places.iter().map(|place| json!({ "path": place, "there": place.is_file() })).collect();
                return cx.out.json(&places);
            }
            cx.out.lines(places.iter().map(|place| {
                let missing = if place.is_file() { "" } else { "  (not there)" };
                format!("{}{missing}", plain(&place.display().to_string()))
            }))
        }
    }
}
