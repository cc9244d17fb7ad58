//! The tools: what each is called, takes and answers, and which methods of the server it reaches.

mod desk;
mod edit;
mod hear;
mod look;
mod make;
mod server;
mod work;

use std::sync::LazyLock;

use aulos_protocol::{Error, ErrorCode, registry};
use rmcp::model::{JsonObject, Tool as McpTool, ToolAnnotations};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value as Json};

use crate::{call::Call, schema};

/// What a tool does to the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It only looks.
    Looks,
    /// It changes what can be taken back; saying it twice is as saying it once.
    Sets,
    /// It changes what can be taken back, and once more each time.
    Adds,
    /// It may end or replace something that cannot be brought back by undo.
    Destroys,
}

type Run = Box<dyn Fn(&mut Call<'_>, Map<String, Json>) -> Result<Json, Error> + Send + Sync>;

/// A tool.
pub struct Tool {
    /// Its name.
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// What it does, for agents.
    pub text: String,
    /// What it does to the world.
    pub effect: Effect,
    /// Whether it may take long, so that it is a task for clients that have tasks.
    pub is_long: bool,
    /// The methods of the control socket that it reaches.
    pub methods: Vec<&'static str>,
    input: JsonObject,
    output: Option<JsonObject>,
    run: Run,
}

/// A tool without parameters.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

impl Tool {
    fn new<T, R>(
        name: &'static str,
        title: &'static str,
        effect: Effect,
        methods: &[&'static str],
        text: &str,
        run: fn(&mut Call<'_>, T) -> Result<R, Error>,
    ) -> Self
    where
        T: DeserializeOwned + JsonSchema + 'static,
        R: Serialize + 'static,
    {
        let run = move |call: &mut Call<'_>, arguments: Map<String, Json>| {
            let taken = serde_json::from_value(Json::Object(arguments)).map_err(|error| {
                let properties = schema::of::<T>().remove("properties").unwrap_or_default();
                let fields: Vec<_> =
                    properties.as_object().into_iter().flatten().map(|f| f.0.clone()).collect();
                let fields = if fields.is_empty() { "nothing".to_owned() } else { fields.join(", ") };
                Error::new(ErrorCode::InvalidArgument, format!("the arguments of {name} do not fit: {error}"))
                    .expected(format!("{name} takes {fields}"))
            })?;
            serde_json::to_value(run(call, taken)?).map_err(|error| {
                Error::new(ErrorCode::Internal, format!("the result of {name} cannot be written: {error}"))
            })
        };
        Self {
            name,
            title,
            text: text.split_whitespace().collect::<Vec<_>>().join(" "),
            effect,
            is_long: false,
            methods: methods.to_vec(),
            input: schema::of::<T>(),
            output: None,
            run: Box::new(run),
        }
    }

    fn answers<R: JsonSchema>(mut self) -> Self {
        self.output = Some(schema::of_answer::<R>());
        self
    }

    fn long(mut self) -> Self {
        self.is_long = true;
        self
    }

    /// Carries the tool out. Blocks.
    ///
    /// # Errors
    /// What is wrong, and what would be right.
    pub fn run(&self, call: &mut Call<'_>, arguments: Map<String, Json>) -> Result<Json, Error> {
        (self.run)(call, arguments)
    }

    /// The tool as clients see it.
    pub fn described(&self) -> McpTool {
        let looks = self.effect == Effect::Looks;
        let annotations = ToolAnnotations::with_title(self.title)
            .read_only(looks)
            .destructive(self.effect == Effect::Destroys)
            .idempotent(matches!(self.effect, Effect::Looks | Effect::Sets))
            .open_world(false);
        let tool = McpTool::new(self.name, self.text.clone(), self.input.clone())
            .with_title(self.title)
            .with_annotations(annotations);
        match &self.output {
            Some(output) => tool.with_raw_output_schema(output.clone().into()),
            None => tool,
        }
    }
}

static TOOLS: LazyLock<Vec<Tool>> = LazyLock::new(|| {
    [
        look::tools(),
        hear::tools(),
        edit::tools(),
        make::tools(),
        desk::tools(),
        work::tools(),
        server::tools(),
    ]
    .into_iter()
    .flatten()
    .collect()
});

/// All tools, always in the same order.
pub fn all() -> &'static [Tool] {
    &TOOLS
}

/// The tool of this name.
pub fn named(name: &str) -> Option<&'static Tool> {
    all().iter().find(|tool| tool.name == name)
}

/// Every method of the control socket with the tools that reach it.
pub fn reached() -> Vec<(&'static str, Vec<&'static str>)> {
    let methods = registry::methods().iter().map(|method| method.name);
    let by = |method: &'static str| all().iter().filter(move |tool| tool.methods.contains(&method));
    methods.map(|method| (method, by(method).map(|tool| tool.name).collect())).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_method_of_the_server_is_reached_by_a_tool() {
        let missing: Vec<_> = reached().into_iter().filter(|(_, tools)| tools.is_empty()).collect();
        assert!(missing.is_empty(), "{missing:?}");
        for method in all().iter().flat_map(|tool| &tool.methods) {
            registry::method(method).unwrap_or_else(|error| panic!("{error}"));
        }
    }

    #[test]
    fn there_are_not_too_many_tools_and_each_is_described() {
        assert!((20..=25).contains(&all().len()), "{}", all().len());
        let names: BTreeSet<_> = all().iter().map(|tool| tool.name).collect();
        assert_eq!(names.len(), all().len());
        for tool in all() {
            assert!(tool.text.len() > 40, "{}", tool.name);
            let json = serde_json::to_string(&tool.described()).unwrap();
            assert!(!json.contains("\"null\""), "{json}");
        }
        let whole = serde_json::to_string(&all().iter().map(Tool::described).collect::<Vec<_>>()).unwrap();
        assert!(whole.len() < 64_000, "an agent reads all of it: {} bytes", whole.len());
    }

    #[test]
    fn only_tools_that_look_say_so() {
        for tool in all() {
            let commands = tool.methods.iter().filter(|name| {
                registry::method(name).unwrap().is_command
                    // Made to a file of ours that is gone at the end, and cancelled if nobody waits.
                    && !(tool.name == "analyze" && matches!(**name, "render" | "operation_cancel"))
            });
            assert_eq!(tool.effect == Effect::Looks, commands.count() == 0, "{}", tool.name);
        }
    }
}
