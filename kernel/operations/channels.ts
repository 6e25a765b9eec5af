/** Says that some operation is due. */
export const DUE_CHANNEL = "operations.due";
/** Payload: id of an operation whose signals or control flags changed while a runner may be at work on it. */
export const CONTROL_CHANNEL = "operations.control";
/** Payload: id of an operation whose visible state changed. */
export const CHANGED_CHANNEL = "operations.changed";
