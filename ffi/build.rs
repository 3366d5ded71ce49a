//! Gives the shared library its SONAME, and keeps it mapped once it is loaded: its threads and what the C library runs at
//! the end of a thread may not lose their code to `dlclose`.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libusertcp.so.0");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
