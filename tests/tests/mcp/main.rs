//! Real agents: clients of the Model Context Protocol against a real `aulos-mcp` and a real server.

mod agent;
mod errors;
mod hearing;
mod http;
mod lost;
mod mix;
mod reach;
mod resources;
mod tasks;
