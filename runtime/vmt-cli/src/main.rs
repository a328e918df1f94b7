//! The `vmt` command.

fn main() -> std::process::ExitCode {
    vmt_cli::run(std::env::args_os())
}
