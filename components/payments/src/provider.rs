//! The payment provider: whichever component `spin.toml` names for the contract of `wit/payments`.

use spin_sdk::wit_bindgen;

mod wit {
    #![allow(missing_docs)]
    super::wit_bindgen::generate!({
        path: "../../wit/payments",
        world: "payments",
        runtime_path: "::spin_sdk::wit_bindgen::rt",
    });
}
pub(crate) use wit::bodega::payments::provider::{
    ChargeRequest, ChargeState, Outcome, RefundRequest, RefundState, authorize, capture, charge, look_up_charge,
    look_up_refund, name, refund, void,
};
