"""What goes out: safe files, pictures, the HTML page, and the experiments in MLflow."""
