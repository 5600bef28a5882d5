resource "aws_vpc_endpoint" "s3" {
  route_table_ids   = [aws_route_table.this.id]
  service_name      = "com.amazonaws.${var.region}.s3"
  vpc_endpoint_type = "Gateway"
  vpc_id            = aws_vpc.this.id
}

resource "aws_vpc_endpoint" "this" {
  for_each = toset(["drs", "ec2"])

  private_dns_enabled = true
  security_group_ids  = [aws_security_group.endpoints.id]
  service_name        = "com.amazonaws.${var.region}.${each.key}"
  subnet_ids          = [aws_subnet.this.id]
  vpc_endpoint_type   = "Interface"
  vpc_id              = aws_vpc.this.id
}

resource "aws_security_group" "endpoints" {
  description = "Lets the staging area reach the DRS and EC2 endpoints."
  name        = "drs-endpoints"
  vpc_id      = aws_vpc.this.id
}

resource "aws_vpc_security_group_ingress_rule" "endpoints" {
  cidr_ipv4         = var.cidr
  description       = "HTTPS from the staging area and its replication servers."
  from_port         = 443
  ip_protocol       = "tcp"
  security_group_id = aws_security_group.endpoints.id
  to_port           = 443
}
