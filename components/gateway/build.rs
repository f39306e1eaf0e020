//! What the gateway answers with and is made of other files.

#[path = "build/openapi.rs"]
mod openapi;
#[path = "build/swagger_ui.rs"]
mod swagger_ui;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    openapi::write()?;
    swagger_ui::write()
}
