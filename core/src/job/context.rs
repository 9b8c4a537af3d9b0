//! What a job gets from whoever hosts it: settings, a way to harden children, and a control.

use crate::decide::settings::Settings;
use crate::host::child::Harden;
use crate::host::control::Control;

/// Everything a job needs that is not in its request.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    pub settings: &'a Settings,
    pub harden: Harden,
    pub control: &'a dyn Control,
}
