//! The `node` program, as the tests run it.

fn main() -> std::process::ExitCode {
    node::run()
}
