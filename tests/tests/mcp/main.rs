//! Real agents: clients of the Model Context Protocol against a real `aulos-mcp` and a real server.

mod agent;
mod confirmed;
mod errors;
mod floods;
mod hearing;
mod http;
mod lost;
mod mix;
mod ramps;
mod reach;
mod resources;
mod tasks;
