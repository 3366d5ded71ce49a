//! `make bench`: the stack beside the bare loop, other stacks and the kernel, as a table and a file of results.

fn main() -> usertcp_bench::Result<()> {
    usertcp_bench::contest::run()
}
