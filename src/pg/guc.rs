//! Settings: the parts that need a raw pointer or a hook.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_void};

use pg_backup_core::error::Failure;
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting, pg_guard, pg_sys};

use super::server::text_of;

/// Judges the text of a setting.
type Check = fn(&str) -> Result<(), Failure>;

thread_local! {
    /// The check of the one setting that has one. The server's hook carries no closure.
    static CHECKS: RefCell<HashMap<&'static str, Check>> = RefCell::new(HashMap::new());
}

/// Key of the only checked setting.
const ONLY: &str = "compression";

/// Defines a text setting that any user may set and that `check` has to accept.
pub fn define_checked_string(
    name: &'static CStr,
    short: &'static CStr,
    long: &'static CStr,
    setting: &'static GucSetting<Option<CString>>,
    check: Check,
) {
    CHECKS.with_borrow_mut(|checks| checks.insert(ONLY, check));
    let (context, flags) = (GucContext::Userset, GucFlags::default());
    // SAFETY: the hook has the signature that the server calls it with.
    unsafe {
        GucRegistry::define_string_guc_with_hooks(
            name,
            short,
            long,
            setting,
            context,
            flags,
            Some(check_hook),
            None,
            None,
        );
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn check_hook(
    value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: the server passes a pointer to the new value, which is NULL or ends with NUL.
    let text = unsafe { text_of(*value) };
    let Some(check) = CHECKS.with_borrow(|checks| checks.get(ONLY).copied()) else { return true };
    match check(&text) {
        Ok(()) => true,
        Err(failure) => {
            let hint = CString::new(failure.hint).unwrap_or_default();
            // SAFETY: the server frees this copy, which lives in its current memory context.
            unsafe { pg_sys::GUC_check_errhint_string = pg_sys::pstrdup(hint.as_ptr()) };
            false
        }
    }
}

/// No other library may define settings with this prefix, and unknown ones are refused.
pub fn reserve_prefix(prefix: &'static CStr) {
    // SAFETY: called in _PG_init after the last definition, as the server wants it.
    unsafe { pg_sys::MarkGUCPrefixReserved(prefix.as_ptr()) };
}

/// A variable of the environment that the server was started with.
pub fn environment(name: &CStr) -> Option<CString> {
    // SAFETY: the environment is not changed by other threads: there are none in a process of
    // the server; the value is copied at once.
    unsafe {
        let value = libc::getenv(name.as_ptr());
        (!value.is_null()).then(|| CStr::from_ptr(value).to_owned())
    }
}

/// Another default for a text setting; before it is defined.
pub fn set_boot_value(setting: &'static GucSetting<Option<CString>>, value: &CStr) {
    // The server keeps the pointer for as long as it runs.
    let kept = Box::leak(value.to_owned().into_boxed_c_str());
    // SAFETY: nobody reads the setting before it is defined.
    unsafe { *setting.as_ptr() = kept.as_ptr().cast_mut() };
}
