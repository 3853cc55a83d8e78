//! The gateway's command line.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    // The allocator asks for huge pages, and each of some thirty threads would have one that it hardly fills: without them the gateway
    // is a quarter smaller under load and no slower. Where the system does not know the switch, nothing is lost.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    fairway::cli::main()
}
