//! The tools, resources and prompts as Markdown, for `docs/mcp.md`.

use std::fmt::Write;

use serde_json::Value as Json;

use crate::{prompts, resources, tools, tools::Effect};

/// The whole reference.
pub fn markdown() -> String {
    let mut text = String::new();
    let mut line = |line: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{line}");
    };
    line("| tool | | what it does | takes |");
    line("|---|---|---|---|");
    for tool in tools::all() {
        let effect = match tool.effect {
            Effect::Looks => "looks",
            Effect::Sets => "sets",
            Effect::Adds => "changes",
            Effect::Destroys => "may destroy",
        };
        let described = tool.described();
        let takes: Vec<_> = described.input_schema["properties"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| {
                let required = described.input_schema.get("required").and_then(Json::as_array);
                let is_required = required.is_some_and(|names| names.iter().any(|n| n == name));
                if is_required { format!("**`{name}`**") } else { format!("`{name}`") }
            })
            .collect();
        line(&format!("| `{}` | {effect} | {} | {} |", tool.name, tool.text, takes.join(", ")));
    }
    line("");
    line("| command or query of the server | tools |");
    line("|---|---|");
    for (method, by) in tools::reached() {
        let by: Vec<_> = by.iter().map(|name| format!("`{name}`")).collect();
        line(&format!("| `{method}` | {} |", by.join(", ")));
    }
    line("");
    line("| resource | what it is |");
    line("|---|---|");
    for resource in resources::all() {
        line(&format!("| `{}` | {} |", resource.uri, resource.description.unwrap_or_default()));
    }
    for template in resources::templates() {
        line(&format!("| `{}` | {} |", template.uri_template, template.description.unwrap_or_default()));
    }
    line("");
    line("| prompt | what it is for |");
    line("|---|---|");
    for prompt in prompts::all() {
        line(&format!("| `{}` | {} |", prompt.name, prompt.description.unwrap_or_default()));
    }
    text
}
