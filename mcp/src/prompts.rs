//! Prompts: tasks that come up often, and how to go about them; and the completion of names.

use aulos_protocol::{Error, ErrorCode};
use rmcp::model::{
    CompleteResult, CompletionInfo, GetPromptResult, JsonObject, Prompt, PromptArgument, PromptMessage, Role,
};

use crate::call::Call;

/// All prompts.
pub fn all() -> Vec<Prompt> {
    let node = |text: &str| vec![PromptArgument::new("node").with_description(text).with_required(false)];
    vec![
        Prompt::new(
            "find_no_sound",
            Some("Find out why there is no sound, or none of one node"),
            Some(node("The node that is not heard; all unless said")),
        )
        .with_title("Why is there no sound?"),
        Prompt::new(
            "gain_staging",
            Some("Set up levels so that nothing clips and the mix has the loudness that is wanted"),
            Some(vec![
                PromptArgument::new("loudness")
                    .with_description("The loudness to come to, in LUFS; -16 unless said")
                    .with_required(false),
            ]),
        )
        .with_title("Set up gain staging"),
    ]
}

/// The messages of a prompt.
///
/// # Errors
/// [`ErrorCode::NotFound`] with those that there are, [`ErrorCode::InvalidArgument`] for an argument that does not fit.
pub fn get(name: &str, arguments: JsonObject) -> Result<GetPromptResult, Error> {
    let word = |key: &str| {
        let value = arguments.get(key).filter(|value| !value.is_null());
        value.map(|value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned))
    };
    let text = match name {
        "find_no_sound" => {
            let (what, arguments) = match word("node") {
                Some(node) => (format!("the node \"{node}\" is not heard"), format!(" with node \"{node}\"")),
                None => ("there is no sound".to_owned(), String::new()),
            };
            format!(
                "In the Aulos session, {what}. Find out why, and mend it.\n\
                 1. Call diagnose{arguments}. It names mutes, solos, silent gains, missing links, files and devices.\n\
                 2. Call get_overview and follow the way from the source to an output: its \"to\", then theirs.\n\
                 3. With the transport rolling, call get_meters with seconds 2. The first node on the way that is silent \
                 while the one before it sounds is where it stops.\n\
                 4. Mend the cause with set, connect or transport: only what is needed, and say what you change before you do.\n\
                 5. Call analyze for 2 seconds on the master, and report the level that it has now."
            )
        }
        "gain_staging" => {
            let loudness = word("loudness").unwrap_or_else(|| "-16".into());
            if loudness.parse::<f64>().is_ok_and(|lufs| (-60.0..=0.0).contains(&lufs)) {
                format!(
                    "Set up the gain staging of the Aulos session so that its mix has {loudness} LUFS and no more than \
                     -1 dBTP.\n\
                     1. Call get_overview. Note each track's gain, and the end of the last clip with query of clips.\n\
                     2. Call analyze with start 0 and that end: loudness, true peak and spectrum of the whole mix. Then \
                     of each track that stands out, with node.\n\
                     3. Bring tracks into balance with trim and gain, all of them in one apply, tried with dry_run first. \
                     Peaks of single tracks belong between -18 and -6 dBFS. Turn down rather than up: gains above the \
                     gain ceiling are refused.\n\
                     4. Set the master's gain for the loudness; its limiter is for what is left over, not for loudness.\n\
                     5. Call analyze again and report before and after. One undo takes back each step."
                )
            } else {
                return Err(Error::new(
                    ErrorCode::InvalidArgument,
                    format!("the loudness cannot be \"{loudness}\""),
                )
                .expected("-60 to 0 LUFS, such as -16"));
            }
        }
        _ => {
            let names = ["find_no_sound", "gain_staging"];
            return Err(
                Error::not_found("prompt", name, names).expected(format!("one of {}", names.join(", ")))
            );
        }
    };
    Ok(GetPromptResult::new(vec![PromptMessage::new_text(Role::User, text)]))
}

/// The names that a text may be the beginning of: of nodes, as arguments of prompts and in addresses of resources.
///
/// # Errors
/// That the server cannot be reached.
pub fn complete(call: &mut Call<'_>, argument: &str, value: &str) -> Result<Vec<String>, Error> {
    if !matches!(argument, "node" | "name") {
        return Ok(Vec::new());
    }
    let session = call.session()?;
    let nodes = session.nodes.in_order();
    let names = || nodes.iter().map(|node| node.slug.as_str());
    let begin = names().filter(|name| name.starts_with(value));
    let contain = names().filter(|name| !name.starts_with(value) && name.contains(value));
    Ok(begin.chain(contain).map(ToOwned::to_owned).collect())
}

/// As many of these as an answer holds.
///
/// # Errors
/// None that is expected: there are no more than an answer holds.
pub fn completion(mut values: Vec<String>) -> Result<CompleteResult, String> {
    let total = values.len();
    values.truncate(CompletionInfo::MAX_VALUES);
    let more = total > values.len();
    let info = CompletionInfo::with_pagination(values, u32::try_from(total).ok(), more)?;
    Ok(CompleteResult::new(info))
}
