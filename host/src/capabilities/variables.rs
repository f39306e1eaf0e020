//! `spin:variables`: the values of a component's `variables`.

use wasmtime::component::Accessor;

use crate::bindings::variables::{Error, Host, HostWithStore};
use crate::control::Call;
use crate::instance::{Data, InstanceState};
use crate::variables::check_name;

impl Host for InstanceState {}

impl HostWithStore<InstanceState> for Data {
    async fn get(accessor: &Accessor<InstanceState, Self>, name: String) -> wasmtime::Result<Result<String, Error>> {
        let (shared, gate) = accessor.with(|mut access| {
            let state = access.get();
            (state.shared.clone(), state.gate.clone())
        });
        let work = async {
            check_name(&name).map_err(Error::InvalidName)?;
            let value = shared.variables.get(&name);
            value.cloned().ok_or_else(|| {
                let component = &shared.id;
                Error::Undefined(format!("the component {component:?} has no variable {name:?}"))
            })
        };
        let call = Call { interface: "variables", function: "get", detail: &name };
        Ok(gate.pass(call, Error::Provider, work).await?)
    }
}
