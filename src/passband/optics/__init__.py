"""Image formation in the microscope: transfer functions, sampling, detector, and lens jitter."""
