"""ROI tables from annotations."""
